import type { Readable } from "node:stream";

export interface LineLimits {
  /** What is longer is cut there, and the rest of it is left out. */
  readonly lineBytes: number;
  readonly linesPerSecond: number;
  readonly bytesPerSecond: number;
  /** Beyond that: `skip` leaves lines out and counts them, `wait` lets the writer wait. */
  readonly excess: "skip" | "wait";
}

export interface LineEvents {
  onLine(text: string, isCut: boolean): void;
  onSkipped?(lines: number): void;
}

const WINDOW_MS = 1_000;
const NEWLINE = 10;

/**
 * Lines of a stream that somebody else writes. SECURITY: whoever writes an endless line, or faster than
 * anybody reads, costs a bounded amount of memory and time, and in the end waits in its own pipe.
 */
export function readBoundedLines(stream: Readable, limits: LineLimits, events: LineEvents): void {
  const { lineBytes, linesPerSecond, bytesPerSecond, excess } = limits;
  let begun: Buffer[] = [];
  let begunBytes = 0;
  /** The line of now was cut: its rest is no line. */
  let isCut = false;
  let windowFrom = performance.now();
  let lines = 0;
  let bytes = 0;
  let skipped = 0;

  const emit = (): void => {
    lines += 1;
    if (excess === "skip" && lines > linesPerSecond) skipped += 1;
    else events.onLine(Buffer.concat(begun).toString("utf8").replace(/\r$/, ""), isCut);
  };
  const add = (part: Buffer): void => {
    if (isCut) return;
    const kept = part.subarray(0, lineBytes - begunBytes);
    begun.push(kept);
    begunBytes += kept.length;
    if (kept.length === part.length) return;
    isCut = true;
    // At once: its end may never come.
    emit();
  };
  const end = (): void => {
    if (!isCut) emit();
    begun = [];
    begunBytes = 0;
    isCut = false;
  };
  const turnWindow = (): void => {
    const now = performance.now();
    if (now - windowFrom < WINDOW_MS) return;
    windowFrom = now;
    lines = 0;
    bytes = 0;
    if (skipped > 0) events.onSkipped?.(skipped);
    skipped = 0;
  };
  stream.on("data", (chunk: Buffer) => {
    turnWindow();
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      add(chunk.subarray(from, at));
      end();
      from = at + 1;
    }
    add(chunk.subarray(from));
    bytes += chunk.length;
    if (bytes <= bytesPerSecond && (excess === "skip" || lines <= linesPerSecond)) return;
    stream.pause();
    setTimeout(() => stream.resume(), Math.max(1, windowFrom + WINDOW_MS - performance.now()));
  });
  stream.on("end", () => {
    if (begunBytes > 0) end();
    if (skipped > 0) events.onSkipped?.(skipped);
  });
  stream.on("error", () => {});
}
