"""Table and picture of the serving benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from bench.page import STYLE, put
from ml.report import svg

PICTURE = "bench-serving.svg"
BEGIN, END = "<!-- serving: written by bench/serving.py -->", "<!-- serving ends -->"
PEERS = ("TorchServe", "LitServe", "BentoML")
_LEFT, _WIDTH, _ROW = 110, 400, 24  # px


def table(result: Mapping[str, Any]) -> str:
    """The result as Markdown: a peer is shown with the better of its two settings."""
    rows = ["| Clients | Server | Requests/s | p50, ms | p99, ms | Client's share of a processor |"]
    rows.append("| ---: | --- | ---: | ---: | ---: | ---: |")
    for each in result["clients"]:
        for name, server in shown(each):
            bold = "**" if name == "Kennel" else ""
            cells = (name, f"{server['rate']:.1f}", f"{server['p50']:.0f}", f"{server['p99']:.0f}")
            rows.append(
                f"| {each['clients']} | " + " | ".join(f"{bold}{cell}{bold}" for cell in cells)
                + f" | {server['client_share']:.0%} |"
            )  # fmt: skip
    rows += ["", "| Clients | Kennel against the best peer | target | Of the ceiling | target |"]
    rows.append("| ---: | ---: | ---: | ---: | ---: |")
    for each in result["clients"]:
        ratio = f"{each['ratio']:.1f} ×" if each["ratio"] is not None else "–"
        share = f"{each['of_ceiling_target']:.0%}" if each["of_ceiling_target"] else "–"
        rows.append(
            f"| {each['clients']} | {ratio} | {each['ratio_target']:g} × | {each['of_ceiling']:.0%} | {share} |"
        )
    return "\n".join(rows)


def shown(each: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Kennel, and of each peer the setting with more requests a second."""
    servers = each["servers"]
    found = [("Kennel", servers["Kennel"])]
    for peer in PEERS:
        of_peer = [(name, server) for name, server in servers.items() if name.startswith(peer)]
        if of_peer:
            found.append(max(of_peer, key=lambda one: float(one[1]["rate"])))
    return found


def conditions(result: Mapping[str, Any]) -> str:
    """How it was measured, as a paragraph of Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    ceiling, loads = result["ceiling"], result["load"]
    failed = sum(server["failed"] for each in result["clients"] for server in each["servers"].values())
    photos = f"{result['photos']} JPEGs of {result['photo_bytes'] / 1000:.0f} kB"
    rounds = f"{result['rounds']} rounds of {result['seconds']:g} s"
    return (
        f"{result['date']}, {result['machine']}; {versions}. ResNet-50 at 224 "
        f"({result['precision']}), {photos}; medians of {rounds}, percentiles over all of them. "
        f"The engine alone does {ceiling['forward']:.0f} images/s, the decoder alone {ceiling['decode']:.0f}, "
        f"so that no more than {ceiling['rate']:.0f} are possible. "
        f"{'No request' if not failed else f'{failed} requests'} failed. "
        f"The machine's load was {min(loads):.1f} to {max(loads):.1f} meanwhile."
    )


def picture(result: Mapping[str, Any]) -> Markup:
    """Requests a second as bars, a group for each number of clients, with the ceiling."""
    groups = [(each["clients"], shown(each)) for each in result["clients"]]
    ceiling = result["ceiling"]["rate"]
    most = max(ceiling, *(server["rate"] for _, servers in groups for _, server in servers))
    parts = [Markup("<style>{}</style>").format(Markup(STYLE))]  # noqa: S704 - our own text
    parts.append(svg.text("heading", 8, 18, "Requests a second (longer is better)", anchor="start", font=14))
    box = Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}" rx="2"/>')
    y = 40.0
    for clients, servers in groups:
        label = f"{clients} {'client' if clients == 1 else 'clients'}"
        parts.append(svg.text("heading", 8, y + 6, label, anchor="start", font=13))
        y += 18
        for name, server in servers:
            width = max(2.0, server["rate"] / most * _WIDTH)
            style = "bar" if name == "Kennel" else "bar quiet"
            parts.append(svg.text("axis", _LEFT - 10, y + 8, name.partition(",")[0], anchor="end", font=13))
            parts.append(box.format(style, _LEFT, svg.px(y), svg.px(width), 16))
            value = f"{server['rate']:.0f}, p99 {server['p99']:.0f} ms"
            parts.append(svg.text("value", _LEFT + width + 8, y + 8, value, anchor="start", font=13))
            y += _ROW
        y += 12
    x = _LEFT + ceiling / most * _WIDTH
    parts.append(
        Markup('<path class="base" stroke-dasharray="5 4" d="M{},48 V{}"/>').format(svg.px(x), svg.px(y - 12))
    )
    parts.append(svg.text("axis", x, y, "the ceiling: decoding and network alone", anchor="end", font=12))
    title = "Kennel's server against the replaced handler under TorchServe, LitServe and BentoML"
    return svg.picture(_LEFT + _WIDTH + 150, y + 16, title, parts, fixed=True)


def write(result: Mapping[str, Any], docs: Path) -> None:
    """Put table and conditions between their marks in the page, and the picture beside it."""
    image = f"![Requests a second of each server, by number of clients]({PICTURE})"
    put(docs, BEGIN, END, f"{table(result)}\n\n{image}\n\n{conditions(result)}", PICTURE, picture(result))
