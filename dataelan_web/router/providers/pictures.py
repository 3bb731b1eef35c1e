"""What the formats that draw have in common: the options of a prompt, and the pictures it brings along."""

from __future__ import annotations

import binascii
import math
import re
from base64 import b64decode
from typing import Any

from dataelan_web.router.providers.json_values import string
from dataelan_web.router.types import ImagePart, Prompt, Unsupported

MOST = 100
_USUAL_RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")


def option(prompt: Prompt, name: str) -> str:
    """An option's word; "" where nothing was said, or "auto", which every model does by itself."""
    value = prompt.media.get(name)
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else string(value).strip()
    return "" if text == "auto" else text


def number(prompt: Prompt, name: str) -> int | None:
    """An option that is a count of things. Raises Unsupported."""
    text = option(prompt, name)
    if not text:
        return None
    if not re.fullmatch(r"\d{1,3}", text, re.ASCII) or not 1 <= int(text) <= MOST:
        raise Unsupported(f"“{name}” must be a whole number from 1 to {MOST}, not “{text[:20]}”.")
    return int(text)


def said(**options: Any) -> dict[str, Any]:
    """The options that were said at all."""
    return {name: value for name, value in options.items() if value not in (None, "")}


def pixels(size: str) -> tuple[int, int] | None:
    """Width and height of "1024x768"; None for any other word, such as "2K"."""
    found = re.fullmatch(r"([1-9]\d{0,4})\s*[x×*]\s*([1-9]\d{0,4})", size, re.ASCII)
    return (int(found[1]), int(found[2])) if found else None


def aspect_ratio(prompt: Prompt) -> str:
    """As asked for, or the usual one that comes nearest to the size asked for."""
    if ratio := option(prompt, "aspect_ratio"):
        return ratio
    wanted = pixels(option(prompt, "size"))
    if wanted is None:
        return ""
    return min(_USUAL_RATIOS, key=lambda ratio: abs(math.log(shape(ratio) * wanted[1] / wanted[0])))


def shape(ratio: str) -> float:
    """Width by height of "16:9". Raises Unsupported."""
    found = re.fullmatch(r"(\d{1,3}(?:\.\d{1,2})?):(\d{1,3}(?:\.\d{1,2})?)", ratio, re.ASCII)
    width, height = (float(found[1]), float(found[2])) if found else (0.0, 0.0)
    if not width or not height:
        raise Unsupported(f"“aspect_ratio” must be two numbers such as 16:9, not “{ratio[:20]}”.")
    return width / height


def inline(image: ImagePart) -> tuple[str, str]:
    """Media type and base64 text of a picture. Raises Unsupported where there is only its address."""
    if not image.data:
        raise Unsupported("It takes pictures as files, not as addresses.")
    return image.media_type or "image/png", image.data


def bytes_of(image: ImagePart) -> bytes:
    """Raises Unsupported."""
    try:
        return b64decode(inline(image)[1], validate=True)
    except (binascii.Error, ValueError):
        raise Unsupported("An attached picture cannot be read: it is not valid base64.") from None


def address(image: ImagePart) -> str:
    """Where a picture is: its URL, or one that holds all of it."""
    return image.url or "data:{};base64,{}".format(*inline(image))


def no_transparency(prompt: Prompt) -> None:
    """For formats that cannot say it: a picture with a background is not what was asked for."""
    if option(prompt, "background") == "transparent":
        raise Unsupported("It has no transparent background.")
