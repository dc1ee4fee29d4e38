"""Requests and answers in the words of those who wrote them: what the client dialects have in common."""
