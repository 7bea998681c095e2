import { createHash } from "node:crypto";
import type { RunView } from "../../src-protocol/api.ts";
import { countryName } from "../../src-protocol/countries.ts";
import type { HistoryPoint } from "../../src-protocol/state.ts";

/** The operator's page for everybody: what a run is and how it goes. No script, nothing of another origin. */

export interface PublicPicture {
  readonly name: string;
  readonly operator: string;
  readonly view: RunView;
  readonly points: readonly HistoryPoint[];
  /** Unix milliseconds. */
  readonly now: number;
}

export const PAGE_PATH = "/";
export const CURVE_PATH = "/loss.svg";

const WIDTH = 800;
const HEIGHT = 280;
const EDGE = { left: 52, right: 16, top: 16, bottom: 32 };
const MOST_DRAWN = 400;
const REFRESH_SECONDS = 30;

const STYLE = `
:root{color-scheme:light dark;--bg:light-dark(#f7f6f3,#0d1117);--surface:light-dark(#fff,#141a22);--line:light-dark(#e2dfd8,#263040);--text:light-dark(#1b1f24,#e8ecf1);--muted:light-dark(#5d6672,#95a1b2)}
body{margin:0;background:var(--bg);color:var(--text);font:16px/1.5 system-ui,sans-serif;font-variant-numeric:tabular-nums}
main{max-width:880px;margin:0 auto;padding:32px 20px;display:grid;gap:24px}
h1,h2,p,dl,dd,ol,ul{margin:0;padding:0}h1{font-size:28px;line-height:1.2}h2{font-size:15px}
.muted,dt,footer{color:var(--muted);font-size:14px}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(125px,1fr));gap:16px}dd{font-size:24px;font-weight:600}
section{border:1px solid var(--line);border-radius:10px;background:var(--surface);padding:20px;display:grid;gap:16px}
img{width:100%;height:auto;display:block}
ol,ul{list-style:none;display:grid;gap:4px}li{display:grid;grid-auto-flow:column;grid-auto-columns:1fr;gap:16px;border-top:1px solid var(--line);padding:8px 0}li span:last-child{text-align:right}
`;

/** Of the page's one style element, for its policy. */
export const PAGE_POLICY = `default-src 'none'; img-src 'self'; style-src 'sha256-${createHash("sha256").update(STYLE).digest("base64")}'; base-uri 'none'; form-action 'none'`;

export function publicPage({ name, operator, view, points, now }: PublicPicture): string {
  const held = view.stages.filter(({ holder }) => holder?.connected === true).length;
  const figures = [
    ["Step", view.steps === null ? whole(view.step) : `${whole(view.step)} of ${whole(view.steps)}`],
    ["Tokens so far", rough(view.step * view.tokensPerStep)],
    ["Loss", loss(view.loss)],
    ["Held-out loss", loss(view.heldOutLoss)],
    ["Tokens a second", view.tokensPerSecond === null ? "–" : whole(view.tokensPerSecond)],
    ["Computers", whole(view.nodes)],
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="${REFRESH_SECONDS}">
<title>${escaped(view.name)} · ${escaped(name)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<header>
<p class="muted">${escaped(name)}${operator === "" ? "" : `, operated by ${escaped(operator)}`}</p>
<h1>${escaped(view.name)}</h1>
<p>${escaped(view.detail)}</p>
</header>
<dl>${figures.map(([term, value]) => `<div><dt>${term}</dt><dd>${value}</dd></div>`).join("")}</dl>
<section>
<h2>Loss</h2>
${points.length < 2 ? '<p class="muted">The curve begins with the second finished step.</p>' : `<img src="${CURVE_PATH}?${points.at(-1)?.step ?? 0}" width="${WIDTH}" height="${HEIGHT}" alt="${escaped(curveSummary(points))}">`}
</section>
<section>
<h2>${held} of ${view.stages.length} slices are at work</h2>
<ol>${view.stages
    .map(
      ({ index, parameterCount, holder }) =>
        `<li><span>Slice ${index + 1}</span><span class="muted">${rough(parameterCount)} parameters</span><span>${holder?.connected === true ? "at work" : "waits for a computer"}</span></li>`,
    )
    .join("")}</ol>
</section>
${whereTheyStand(view)}<section>
<p class="muted">Learns from: ${escaped(view.corpus)}. ${rough(view.parameterCount)} parameters. Loss is in nats for each token; held-out loss is measured on text that is never trained on.</p>
</section>
<footer>As of ${new Date(now).toISOString().slice(0, 19).replace("T", " ")} UTC; the page looks again every ${REFRESH_SECONDS} seconds. To embed the curve: <code>&lt;img src="…${CURVE_PATH}"&gt;</code></footer>
</main>
</body>
</html>
`;
}

/** By country, only of those whose owners have said so; nothing where nobody has. */
function whereTheyStand({ nodes, countries = [] }: RunView): string {
  if (countries.length === 0) return "";
  const said = countries.reduce((sum, each) => sum + each.nodes, 0);
  const rows = countries.map((each): [string, number] => [countryName(each.country, "en"), each.nodes]);
  if (nodes > said) rows.push(["Not said", nodes - said]);
  return `<section>
<h2>Computers by country, where their owners have said it</h2>
<ul>${rows.map(([name, count]) => `<li><span>${escaped(name)}</span><span>${whole(count)}</span></li>`).join("")}</ul>
</section>
`;
}

/** The loss as a picture that stands for itself, for this page and for others. */
export function lossCurve(points: readonly HistoryPoint[]): string {
  const drawn = thinned(points);
  const first = drawn[0]?.step ?? 0;
  const last = Math.max(first + 1, drawn.at(-1)?.step ?? 0);
  const values = drawn.flatMap(({ loss, heldOutLoss }) =>
    heldOutLoss === null ? [loss] : [loss, heldOutLoss],
  );
  const low = Math.min(...values, Infinity);
  const high = Math.max(...values, -Infinity);
  const span = high > low ? high - low : 1;
  const x = (step: number): string =>
    (EDGE.left + ((step - first) / (last - first)) * (WIDTH - EDGE.left - EDGE.right)).toFixed(1);
  const y = (value: number): string =>
    (EDGE.top + ((high - value) / span) * (HEIGHT - EDGE.top - EDGE.bottom)).toFixed(1);
  const line = (of: readonly { step: number; value: number }[]): string =>
    of.map(({ step, value }, i) => `${i === 0 ? "M" : "L"}${x(step)} ${y(value)}`).join("");
  const training = line(drawn.map(({ step, loss: value }) => ({ step, value })));
  const heldOut = line(
    drawn.flatMap(({ step, heldOutLoss }) => (heldOutLoss === null ? [] : [{ step, value: heldOutLoss }])),
  );
  const label = (text: string, at: string): string =>
    `<text ${at} fill="#95a1b2" font-family="system-ui,sans-serif" font-size="13">${text}</text>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}"><rect width="${WIDTH}" height="${HEIGHT}" rx="8" fill="#141a22"/>${
    drawn.length < 2
      ? label("The curve begins with the second finished step.", `x="24" y="36"`)
      : `${label(high.toFixed(2), `x="12" y="${EDGE.top + 5}"`)}${label(low.toFixed(2), `x="12" y="${HEIGHT - EDGE.bottom + 5}"`)}${label(`step ${whole(first)}`, `x="${EDGE.left}" y="${HEIGHT - 10}"`)}${label(whole(last), `x="${WIDTH - EDGE.right}" y="${HEIGHT - 10}" text-anchor="end"`)}${label("training", `x="${WIDTH - 150}" y="30"`)}${label("held-out", `x="${WIDTH - 70}" y="30"`)}<path d="M${WIDTH - 172} 26h16" stroke="#ff9d4d" stroke-width="2"/><path d="M${WIDTH - 92} 26h16" stroke="#8fb4ff" stroke-width="2" stroke-dasharray="5 4"/><path d="${training}" fill="none" stroke="#ff9d4d" stroke-width="2"/><path d="${heldOut}" fill="none" stroke="#8fb4ff" stroke-width="2" stroke-dasharray="5 4"/>`
  }</svg>`;
}

function curveSummary(points: readonly HistoryPoint[]): string {
  const [first] = points;
  const last = points.at(-1);
  return `Training loss from ${loss(first?.loss ?? null)} at step ${first?.step ?? 0} to ${loss(last?.loss ?? null)} at step ${last?.step ?? 0}`;
}

/** Evenly, with the first and the last. */
function thinned(points: readonly HistoryPoint[]): HistoryPoint[] {
  if (points.length <= MOST_DRAWN) return [...points];
  const each = (points.length - 1) / (MOST_DRAWN - 1);
  return Array.from({ length: MOST_DRAWN }, (_, i) => points[Math.round(i * each)]).filter(
    (point) => point !== undefined,
  );
}

/** SECURITY: names come from the run's file and from people; none becomes markup. */
function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
}

function whole(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

function rough(value: number): string {
  return new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 }).format(value);
}

function loss(value: number | null): string {
  return value === null ? "–" : value.toFixed(3);
}
