"""What all client dialects check with: schemas as data, the errors that they give, and the JSON Schema of them."""
