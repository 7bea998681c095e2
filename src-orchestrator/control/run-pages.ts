import type { HistoryAnswer } from "../../src-protocol/api.ts";
import type { RunView } from "../../src-protocol/api.ts";
import type { HistoryPoint } from "../../src-protocol/state.ts";

/** Points in one answer; whoever wants more asks again with the cursor. */
export const HISTORY_POINTS = 4_000;
/** Answers that are kept while no step is finished, or for so long. */
const KEPT_ANSWERS = 64;
const KEPT_MS = 1_000;
const CURVE_KEPT_MS = 5_000;
const MOST_CURVE_PAGES = 8;

export interface PageSources {
  view(): RunView;
  points(sinceStep: number, limit: number): HistoryPoint[];
  /** Block of the network's clock: it is in the picture. */
  block(): number;
}

/** What everybody may see, as text that is made once for all who look. */
export class RunPages {
  readonly #sources: PageSources;
  readonly #now: () => number;
  #view: { readonly block: number; readonly text: string } | null = null;
  #point: { readonly point: HistoryPoint; readonly text: string } | null = null;
  #curve: { readonly points: readonly HistoryPoint[]; readonly at: number } | null = null;
  readonly #history = new Map<number, { readonly text: string; readonly at: number }>();

  constructor(sources: PageSources, now: () => number = () => performance.now()) {
    this.#sources = sources;
    this.#now = now;
  }

  /** The run is no longer what it was. */
  changed(): void {
    this.#view = null;
  }

  view(): string {
    const block = this.#sources.block();
    if (this.#view?.block !== block) this.#view = { block, text: JSON.stringify(this.#sources.view()) };
    return this.#view.text;
  }

  point(point: HistoryPoint): string {
    if (this.#point?.point !== point) this.#point = { point, text: JSON.stringify(point) };
    return this.#point.text;
  }

  /** The whole curve, which a long run thins out the further back it lies. */
  curve(): readonly HistoryPoint[] {
    const now = this.#now();
    if (this.#curve !== null && now - this.#curve.at < CURVE_KEPT_MS) return this.#curve.points;
    const points: HistoryPoint[] = [];
    for (let page = 0; page < MOST_CURVE_PAGES; page += 1) {
      const next = this.#sources.points(points.at(-1)?.step ?? 0, HISTORY_POINTS);
      points.push(...next);
      if (next.length < HISTORY_POINTS) break;
    }
    this.#curve = { points, at: now };
    return points;
  }

  history(sinceStep: number): string {
    const now = this.#now();
    const known = this.#history.get(sinceStep);
    if (known !== undefined && now - known.at < KEPT_MS) return known.text;
    const points = this.#sources.points(sinceStep, HISTORY_POINTS);
    const next = points.length < HISTORY_POINTS ? null : (points.at(-1)?.step ?? null);
    const answer: HistoryAnswer = { points, next };
    const text = JSON.stringify(answer);
    this.#history.delete(sinceStep);
    this.#history.set(sinceStep, { text, at: now });
    const [oldest] = this.#history.keys();
    if (this.#history.size > KEPT_ANSWERS && oldest !== undefined) this.#history.delete(oldest);
    return text;
  }
}
