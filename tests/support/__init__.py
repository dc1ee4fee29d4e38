"""What several test folders share: a scripted upstream, a gateway in a process of its own."""
