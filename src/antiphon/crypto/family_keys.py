"""
The keys of families, derived: for as long as the store was asked lately enough whether a family still exists.

A family that was founded here and is not stored yet lives here alone, so that everything that is sealed for it
meanwhile is sealed with the same salt. It has :attr:`Lifetimes.held_s` to get into the store: one that is not there by
then was erased, or never will be.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection

from antiphon.crypto.envelope import (
    FamilySeal,
    InvalidEnvelope,
    PayloadCipher,
    derive_family,
    header_of,
    parse_seal,
    place_tail,
)
from antiphon.crypto.key_rings import KeyRing
from antiphon.crypto.lifetimes import Lifetimes
from antiphon.crypto.nonces import next_salt
from antiphon.crypto.sealed_keys import FamilyKeys, SealedKeys
from antiphon.hub.errors import StoreCorrupt
from antiphon.hub.ids import Family, TenantId
from antiphon.sessions.codec import TENANT_FAMILY
from antiphon.sessions.store import SessionStore

__all__ = ["FamilyCache", "UnknownTenantKey"]


class UnknownTenantKey(StoreCorrupt):
    """A family commits only to versions of its tenant's key that are not in the ring: newer ones, or destroyed ones."""


class _Held:
    """
    A family as it is held.

    Attributes:
        keys, alone: Its keys, and these alone as what seals and opens.
        fresh_until: To be used so long without asking the store, on the monotonic clock.
        unstored_until: The store need not have it before that: it was founded here.
    """

    __slots__ = ("alone", "fresh_until", "keys", "ring", "seal", "unstored_until")

    def __init__(self, ring: KeyRing, seal: bytes, keys: FamilyKeys, *, unstored_until: float = 0.0) -> None:
        self.ring = ring
        self.seal = seal
        self.keys = keys
        self.alone = SealedKeys(ring.tenant, ring.heads, keys)
        self.fresh_until = 0.0
        self.unstored_until = unstored_until


class FamilyCache:
    """The keys of families that are at hand, and the way to the others."""

    def __init__(self, store: SessionStore, lifetimes: Lifetimes) -> None:
        self._store = store
        self._lifetimes = lifetimes
        self._held: OrderedDict[tuple[TenantId, Family], _Held] = OrderedDict()

    def alone(self, ring: KeyRing, family: Family, now: float) -> SealedKeys | None:
        """The keys of one family, if they are at hand."""
        held = self._held.get((ring.tenant, family))
        if held is None or held.ring is not ring or now >= held.fresh_until:
            return None
        self._held.move_to_end((ring.tenant, family))
        return held.alone

    async def load(self, ring: KeyRing, families: Collection[Family], now: float) -> SealedKeys:
        """
        The keys of families, of which those that are not at hand are read. One statement, if there are any.

        Raises:
            UnknownTenantKey: The ring may be older than a family.
            StoreCorrupt: A family does not exist, is not sealed, or is sealed with other keys.
        """
        found: dict[Family, FamilyKeys] = {}
        missing = []
        for family in families:
            if family == TENANT_FAMILY:
                found[family] = ring.family
            elif self.alone(ring, family, now) is None:
                missing.append(family)
            else:
                found[family] = self._held[ring.tenant, family].keys
        if missing:
            found |= await self._read(ring, missing, now)
        return SealedKeys(ring.tenant, ring.heads, *found.values())

    async def found(self, ring: KeyRing, family: Family, now: float, *, is_new: bool = False) -> bytes:
        """See :meth:`Codec.found`."""
        held = self._held.get((ring.tenant, family))
        if held is None or self.alone(ring, family, now) is None:
            stored = {} if is_new and held is None else await self._stored(ring, (family,))
            if family in stored:
                held = self._take(ring, family, stored[family], now)
            else:
                held = self._found_here(ring, family, now)
        return held.seal

    def forget(self, tenant: TenantId) -> None:
        """Ask the store anew for this tenant's families. Those that are not stored yet stay."""
        self.forget_some(tenant, [family for of_tenant, family in self._held if of_tenant == tenant])

    def forget_some(self, tenant: TenantId, families: Collection[Family]) -> None:
        """The same, for these of them."""
        for family in families:
            held = self._held.get((tenant, family))
            if held is not None:
                held.fresh_until = 0.0

    async def _read(self, ring: KeyRing, families: Collection[Family], now: float) -> dict[Family, FamilyKeys]:
        stored = await self._stored(ring, families)
        return {
            family: (
                self._take(ring, family, stored[family], now)
                if family in stored
                else self._still_unstored(ring, family, now)
            ).keys
            for family in families
        }

    async def _stored(self, ring: KeyRing, families: Collection[Family]) -> dict[Family, bytes]:
        return await self._store.for_tenant(ring.tenant).read_families(tuple(families))

    def _take(self, ring: KeyRing, family: Family, seal: bytes, now: float) -> _Held:
        if not seal:
            raise StoreCorrupt(
                f"Family '{family}' is not sealed. Seal what is stored in plain, or set sealing.key to 'none'."
            )
        try:
            held = _Held(ring, seal, _family_keys(ring, family, parse_seal(seal)))
        except InvalidEnvelope as fault:
            raise StoreCorrupt(f"The key of family '{family}' cannot be derived: {fault}.") from None
        return self._keep(held, now)

    def _still_unstored(self, ring: KeyRing, family: Family, now: float) -> _Held:
        held = self._held.get((ring.tenant, family))
        if held is None or now >= held.unstored_until:
            self._held.pop((ring.tenant, family), None)
            raise StoreCorrupt(f"The key of family '{family}' is gone: what was sealed with it was erased.")
        return self._found_here(ring, family, now)

    def _found_here(self, ring: KeyRing, family: Family, now: float) -> _Held:
        held = self._held.get((ring.tenant, family))
        if held is None or now >= held.unstored_until:
            salt, unstored_until = next_salt(), now + self._lifetimes.held_s
        else:
            salt, unstored_until = parse_seal(held.seal).salt, held.unstored_until
        key, commitment = derive_family(ring.keys[ring.active], salt)
        cipher = PayloadCipher(ring.active, key)
        keys = FamilyKeys(family, {cipher.header: cipher}, cipher.header, place_tail(family))
        seal = FamilySeal(salt, {ring.active: commitment}).encode()
        return self._keep(_Held(ring, seal, keys, unstored_until=unstored_until), now)

    def _keep(self, held: _Held, now: float) -> _Held:
        key = held.ring.tenant, held.keys.family
        held.fresh_until = now + self._lifetimes.look_again_s
        self._held[key] = held
        self._held.move_to_end(key)
        if len(self._held) > self._lifetimes.families:
            self._held.popitem(last=False)
        self._drop_unused(now)
        return held

    def _drop_unused(self, now: float) -> None:
        """What nobody has used for long goes from memory, one for each that comes: so nobody waits for it."""
        key, held = next(iter(self._held.items()))
        if now >= max(held.fresh_until, held.unstored_until):
            del self._held[key]


def _family_keys(ring: KeyRing, family: Family, seal: FamilySeal) -> FamilyKeys:
    """
    What opens payloads under every key that the family has committed to, and seals under the newest in use.

    A rotation makes a key active before every family has committed to it: until then a family goes on with what it has.
    """
    versions = [version for version in seal.commitments if version in ring.keys]
    if not versions:
        raise UnknownTenantKey(
            f"The key of family '{family}' cannot be derived: its tenant has no key that it commits to."
        )
    ciphers = {
        header_of(version): PayloadCipher(version, seal.key(version, ring.keys[version])) for version in versions
    }
    sealing = ring.active if ring.active in versions else max(versions)
    return FamilyKeys(family, ciphers, header_of(sealing), place_tail(family))
