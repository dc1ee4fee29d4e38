"""``python -m tests.crypto.make_vectors``: made the frozen vectors once. What it wrote is never written again."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any, get_args

from antiphon.sessions.codec import Table
from tests.crypto import independent

PATH = Path(__file__).parent / "vectors.json"
TABLES = get_args(Table)
TENANTS = ("default", "acme", "a", "x" * 63, "_system")


def pseudo(name: str, size: int) -> bytes:
    """Bytes that a name stands for."""
    return hashlib.shake_256(name.encode()).digest(size)


def payload_vector(number: int) -> dict[str, Any]:
    """A payload, with all that it is made of."""
    table = TABLES[number % len(TABLES)]
    tenant = TENANTS[number % len(TENANTS)]
    of_tenant = table in ("prompts", "idempotency", "deliveries", "secrets")
    family = "" if of_tenant else pseudo(f"family {number}", 8).hex()
    row_id = f"row_{family}00{number:032x}" if number % 7 else f"rów/{number}"
    key, salt = pseudo(f"key {number}", 32), pseudo(f"salt {number}", 32)
    version = (1, 2, 255, 65_536, 4_294_967_295)[number % 5]
    plaintext = pseudo(f"text {number}", (0, 1, 15, 16, 17, 31, 32, 100, 255, 300)[number % 10])
    used = independent.tenant_key(key) if of_tenant else independent.family_key(key, salt)[0]
    sealed = independent.payload(
        used, version, pseudo(f"nonce {number}", 12), plaintext, independent.aad(tenant, table, row_id, family)
    )
    return {
        "tenant": tenant,
        "table": table,
        "row_id": row_id,
        "family": family,
        "tenant_key": key.hex(),
        "version": version,
        "salt": salt.hex(),
        "nonce": pseudo(f"nonce {number}", 12).hex(),
        "plaintext": plaintext.hex(),
        "payload": sealed.hex(),
    }


def seal_vector(number: int) -> dict[str, Any]:
    """What is kept with a family."""
    salt = pseudo(f"seal {number}", 32)
    keys = {number + step: pseudo(f"seal key {number + step}", 32) for step in range(1, 2 + number % 3)}
    return {
        "salt": salt.hex(),
        "tenant_keys": {str(version): key.hex() for version, key in keys.items()},
        "family_keys": {str(version): independent.family_key(key, salt)[0].hex() for version, key in keys.items()},
        "seal": independent.seal(salt, keys).hex(),
    }


def wrapped_vector(number: int) -> dict[str, Any]:
    """A tenant's key, wrapped by a root key of this process."""
    root, key, nonce = (pseudo(f"{what} {number}", size) for what, size in (("root", 32), ("kept", 32), ("n", 12)))
    tenant, version = TENANTS[number % len(TENANTS)], 1 + number * 1000
    blob = independent.root_wrapped(root, nonce, key, tenant, version)
    return {
        "tenant": tenant,
        "version": version,
        "root_key": root.hex(),
        "root_ref": "local:" + hmac.new(root, b"antiphon/v1/key-check", "sha256").digest()[:8].hex(),
        "tenant_key": key.hex(),
        "nonce": nonce.hex(),
        "wrapped": independent.wrapped(key, tenant, version, blob).hex(),
    }


def main() -> None:
    """Write the file, if there is none."""
    vectors = {
        "payloads": [payload_vector(number) for number in range(200)],
        "seals": [seal_vector(number) for number in range(60)],
        "wrapped_keys": [wrapped_vector(number) for number in range(60)],
    }
    with PATH.open("x", encoding="utf-8") as file:
        json.dump(vectors, file, indent=1, ensure_ascii=True)
        file.write("\n")


if __name__ == "__main__":
    main()
