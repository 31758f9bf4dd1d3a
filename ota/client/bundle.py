"""Which images are installed together: all of them or none; pure.

A bundle is what the Director assigned under one campaign, and what an image of it requires and
cannot do without. An image of no campaign that nothing else requires is a bundle of its own.
"""

import hashlib
from collections.abc import Sequence

from ota.client.offer import Offer


def bundles(offers: Sequence[Offer]) -> tuple[tuple[Offer, ...], ...]:
    """Return ``offers`` in groups that are installed all or not at all, in their own order."""
    left, found = list(offers), []
    while left:
        bundle = [left.pop(0)]
        while more := [other for other in left if any(_belongs(other, one) for one in bundle)]:
            bundle += more
            left = [other for other in left if other not in more]
        found.append(tuple(offer for offer in offers if offer in bundle))
    return tuple(found)


def content_hash(offers: Sequence[Offer]) -> str:
    """Return what an OK to all of ``offers`` is bound to, SHA-256 in hex.

    Of one image it is the image's own; of several that of the lines ``<ecu id> <hash>``, sorted.
    """
    if len(offers) == 1:
        return offers[0].content_hash
    lines = sorted(f"{offer.ecu_id} {offer.content_hash}\n" for offer in offers)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _belongs(one: Offer, other: Offer) -> bool:
    if one.campaign is not None and one.campaign == other.campaign:
        return True
    return one.name in other.custom.requires or other.name in one.custom.requires
