"""The same object on another server. Pure."""

from urllib.parse import urljoin, urlsplit


def rebased(url: str, old: str, new: str) -> str:
    """`url`, which the playlist `old` named, as `new` would name it on its server.

    Only what was named relative to the playlist moves with it.
    """
    there, base = urlsplit(url), urlsplit(old)
    if there.netloc != base.netloc or old == new:
        return url
    steps, folders = there.path.split("/"), base.path.split("/")[:-1]
    shared = 0
    while shared < min(len(steps) - 1, len(folders)) and steps[shared] == folders[shared]:
        shared += 1
    relative = "/".join([".."] * (len(folders) - shared) + steps[shared:])
    return urljoin(new, f"./{relative}" + (f"?{there.query}" if there.query else ""))
