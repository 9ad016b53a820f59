"""What is a page and what is not: the one list, for the middleware and for logs that are replayed.

In: paths and addresses, as they stand in a request or a log.
Out: whether they name a page, and the same without session ids.
Never: a query; whoever has one cuts it off first.
"""

import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

#: Parts of pages: styles, scripts, images, fonts, manifests, media and their segments. Middleware does not record them at all.
ASSETS: Final = frozenset(
    re.split(
        r"\s+",
        "css less scss js mjs cjs map wasm webmanifest appcache manifest "
        "png apng jpg jpeg jpe jfif gif ico cur svg svgz webp avif bmp tif tiff heic heif jxl "
        "woff woff2 ttf ttc otf eot "
        "mp3 mp4 m4a m4v m4s webm weba ogg oga ogv opus flac wav aac mid avi mov mkv wmv flv swf mpg mpeg 3gp "
        "m3u m3u8 mpd ts m2ts cmfv cmfa cmft vtt srt glb gltf "
        "txt xml pdf",
    )
)
#: Files that somebody asks for, which are no page either: archives, programs, documents, feeds, data.
FILES: Final = frozenset(
    re.split(
        r"\s+",
        "zip gz tgz bz2 xz zst br 7z rar tar jar war deb rpm exe msi msix dmg pkg apk aab ipa appimage iso bin img "
        "doc docx xls xlsx ppt pptx odt ods odp rtf epub mobi ics vcf "
        "csv tsv json jsonl ndjson geojson jsonld yaml yml parquet rss atom xsd dtd kml gpx "
        "sig asc md5 sha1 sha256 torrent",
    )
)
#: Where machines ask whether a service is well, and what browsers fetch by themselves.
HEALTH: Final = frozenset(
    re.split(
        r"\s+",
        "/health /healthz /health/live /health/ready /_health /ready /readyz /live /livez /metrics /ping /favicon.ico "
        "/robots.txt /actuator/health /actuator/health/liveness /actuator/health/readiness /actuator/prometheus "
        "/-/healthy /-/ready /server-status /nginx_status",
    )
)
#: Addresses of which sites and their certificates, apps and agents are asked; no person reads them.
_WELL_KNOWN: Final = "/.well-known/"
#: `;jsessionid=…` and other parameters of a piece of a path (RFC 3986 §3.3), and the session ids that ASP.NET puts into brackets.
_PARAMETERS: Final = re.compile(r";[^/?#]*")
_BRACKETED: Final = re.compile(r"/\((?:[A-Z]\([^()/]*\))+\)(?=[/?#]|$)")


def page_path(path: str) -> str:
    """A path without the parameters of its pieces: they hold session ids, and are no more part of a page's name than a query.

    Examples
    --------
    >>> page_path("/events/4;jsessionid=1A2B3C4D"), page_path("/shop;sid=9/events;v=1/4"), page_path("/(S(lit3py55))/cart.aspx")
    ('/events/4', '/shop/events/4', '/cart.aspx')
    """
    if ";" in path:
        path = _PARAMETERS.sub("", path)
    if "/(" in path:
        path = _BRACKETED.sub("", path)
    return path or "/"


def page_address(address: str) -> str:
    """An address, or a path with its query, without session ids in its path; the query stays.

    Examples
    --------
    >>> page_address("https://shop.example/events/4;jsessionid=1A2B?ref=a;b")
    'https://shop.example/events/4?ref=a;b'
    """
    end = min((at for at in map(address.find, "?#") if at >= 0), default=len(address))
    return (page_path(address[:end]) if address[:end] else "") + address[end:]


@lru_cache(maxsize=4_096)
def extension_of(path: str) -> str:
    """The extension of the file that a path names, in lower case; without one "".

    Examples
    --------
    >>> extension_of("/style%2ECSS;v=1"), extension_of("/a.css/"), extension_of("/v1.2/page"), extension_of("/a.js%3Fv=3")
    ('css', 'css', '', 'js')
    """
    name = re.split(r"[;?#]", page_path(unquote(page_path(path))), maxsplit=1)[0].rstrip("/").rpartition("/")[2]
    return name.rpartition(".")[2].strip().lower() if "." in name else ""


def is_health(path: str) -> bool:
    """Whether a path is a health check or another of the addresses that only machines ask for."""
    return (page_path(path).rstrip("/").lower() or "/") in HEALTH


def is_unrecorded(path: str) -> bool:
    """Whether middleware leaves a request for this path out: a part of a page, or a health check.

    Examples
    --------
    >>> is_unrecorded("/live/seg1.ts"), is_unrecorded("/health/"), is_unrecorded("/orders.json"), is_unrecorded("/events/4")
    (True, True, False, False)
    """
    return extension_of(path) in ASSETS or is_health(path)


def names_page(path: str) -> bool:
    """Whether a path may be a page's: no file, no health check.

    Examples
    --------
    >>> names_page("/events/4;jsessionid=1A"), names_page("/orders.json"), names_page("/style.css;jsessionid=1A")
    (True, False, False)
    """
    extension = extension_of(path)
    return not (extension in ASSETS or extension in FILES or is_health(path) or path.startswith(_WELL_KNOWN))
