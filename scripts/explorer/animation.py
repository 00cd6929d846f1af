"""A chart that draws itself step by step in the browser: the page it stands on stays usable."""

import json
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import pyarrow as pa

from plots.curves import COLORS, nice_ticks

WIDTH, HEIGHT, SECONDS = 1000, 250, 8

_PAGE = """<!doctype html><meta charset="utf-8"><style>
body{margin:0;font:13px system-ui,sans-serif;color:#222}
#told{display:flex;flex-wrap:wrap;gap:2px 18px;min-height:38px;font-variant-numeric:tabular-nums}
#told b{font-weight:600} i{display:inline-block;width:10px;height:10px;border-radius:5px}
#p{position:relative} #p s{position:absolute;left:2px;font-size:11px;color:#6B7280;
text-decoration:none;transform:translateY(-105%)}
svg{display:block;width:100%;height:250px;overflow:visible}
path{fill:none;stroke-width:2.5;vector-effect:non-scaling-stroke;stroke-linejoin:round}
.pale{opacity:.18} line{stroke:#E5E7EB;vector-effect:non-scaling-stroke}
#bar{display:flex;gap:12px;align-items:center;margin-top:8px}
#bar input{flex:1;accent-color:#0072B2}
button{border:1px solid #E1E4E8;background:#fff;border-radius:6px;padding:3px 14px;font-size:15px}
</style><div id="told"></div>
<div id="p">@MARKS@
<svg viewBox="0 0 1000 250" preserveAspectRatio="none"><clipPath id="c"><rect id="r" height="270"
 y="-10"/></clipPath>@LINES@<line id="h" y2="250" style="stroke:#6B7280"/>
</svg></div>
<div id="bar"><button id="b" aria-label="@PLAY@">&#10074;&#10074;</button>
<input id="s" type="range" min="0" max="1" step="0.001" value="0" aria-label="@STEP@"></div><script>
const D=@DATA@,$=id=>document.getElementById(id);let t=0,on=true,last=0;
const rate=(c,s)=>{const a=c.steps;if(s>a[a.length-1])return null;let l=0,r=a.length-1;
while(r-l>1){const m=(l+r)>>1;a[m]<=s?l=m:r=m}
const w=r>l?(s-a[l])/(a[r]-a[l]):0;return c.rates[l]+(c.rates[r]-c.rates[l])*w};
const draw=()=>{const s=Math.round(t*(D.total-1)),x=t*1000;
$('r').setAttribute('width',x);$('h').setAttribute('x1',x);$('h').setAttribute('x2',x);
$('s').value=t;$('told').innerHTML=`<span>${D.step} <b>${s.toLocaleString('en')}</b></span><span>${
D.epoch} <b>${(s/D.per_epoch).toFixed(1)}</b></span>`+D.curves.map(c=>{const v=rate(c,s);
return v===null?'':`<span><i style="background:${c.color}"></i> ${c.label} <b>${
+v.toPrecision(3)}</b></span>`}).join('');$('b').innerHTML=on?'&#10074;&#10074;':'&#9654;'};
const tick=now=>{if(on){t=Math.min(1,t+(last?now-last:0)/@MS@);if(t>=1)on=false;draw()}
last=now;requestAnimationFrame(tick)};
$('b').onclick=()=>{if(t>=1)t=0;on=!on;draw()};
$('s').oninput=e=>{on=false;t=+e.target.value;draw()};draw();requestAnimationFrame(tick);
</script>"""


def animation_page(
    rows: pa.Table,
    labels: Sequence[str],
    log: bool,
    total: int,
    per_epoch: int,
    words: dict[str, str],
) -> str:
    """A page that plays the curves, with a pause button and a bar to move along.

    Args:
        rows: of `explorer_chart.chart_rows`.
        labels: of the curves.
        log: a logarithmic rate axis.
        total: steps of the longest run.
        per_epoch: steps of an epoch, for what is told.
        words: `step`, `epoch` and `play` in the page's language.
    """
    columns = {name: rows[name].to_numpy() for name in rows.column_names}
    shown = columns["shown"]
    heights = np.log10(shown) if log else shown
    low = float(heights.min()) if log else min(0.0, float(heights.min()))
    span = (float(heights.max()) - low) or 1.0
    places = columns["step"] * WIDTH / max(total - 1, 1)
    levels = HEIGHT * (1 - (heights - low) / span)
    marks = _marks(log, low, span)
    lines, curves = [f'<line x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>' for y in marks], []
    for index, label in enumerate(labels):
        own, color = columns["curve"] == f"c{index}", COLORS[index % len(COLORS)]
        pairs = zip(places[own], levels[own], strict=True)
        points = "L".join(f"{x:.2f} {y:.2f}" for x, y in pairs)
        lines.append(f'<path class="pale" stroke="{color}" d="M{points}"/>')
        lines.append(f'<path clip-path="url(#c)" stroke="{color}" d="M{points}"/>')
        curves.append(
            {"label": escape(label), "color": color, "steps": columns["step"][own].tolist(),
             "rates": columns["rate"][own].tolist()}
        )  # fmt: skip
    return _fill(marks, lines, {"total": total, "per_epoch": per_epoch, "curves": curves, **words})


def _fill(marks: dict[float, str], lines: list[str], data: dict[str, Any]) -> str:
    filled = {
        "@MARKS@": "".join(f'<s style="top:{y:.1f}px">{r}</s>' for y, r in marks.items()),
        "@LINES@": "".join(lines),
        "@DATA@": json.dumps(data).replace("</", "<\\/"),
        "@MS@": str(1000 * SECONDS),
        "@PLAY@": escape(data["play"]),
        "@STEP@": escape(data["step"]),
    }
    page = _PAGE
    for mark, text in filled.items():
        page = page.replace(mark, text)
    return page


def _marks(log: bool, low: float, span: float) -> dict[float, str]:
    """Round rates by their height on the chart."""
    if log:
        powers = range(int(np.ceil(low)), int(np.floor(low + span + 1e-9)) + 1)
        return {HEIGHT * (1 - (power - low) / span): f"{10.0**power:g}" for power in powers}
    return {HEIGHT * (1 - (rate - low) / span): f"{rate:g}" for rate in nice_ticks(0, span + low)}
