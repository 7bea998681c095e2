/** What a terminal shows last, written anew in its place; what is to stay is said above it. */
export class LiveLine {
  readonly #out: Pick<NodeJS.WriteStream, "columns" | "write">;
  #isShown = false;

  constructor(out: Pick<NodeJS.WriteStream, "columns" | "write">) {
    this.#out = out;
  }

  /** Cut where the terminal ends: a line that wraps cannot be written anew. */
  show(text: string): void {
    this.#out.write(`\r\u001B[2K${text.slice(0, Math.max(20, this.#out.columns - 1))}`);
    this.#isShown = true;
  }

  keep(text: string): void {
    this.#out.write(`${this.#isShown ? "\r\u001B[2K" : ""}${text}\n`);
    this.#isShown = false;
  }

  /** What comes next begins on a line of its own. */
  end(): void {
    if (this.#isShown) this.#out.write("\n");
    this.#isShown = false;
  }
}
