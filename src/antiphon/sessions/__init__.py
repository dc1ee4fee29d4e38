"""What state means, whatever stores it: records, the store's protocol, the payload codec, resolve and commit."""
