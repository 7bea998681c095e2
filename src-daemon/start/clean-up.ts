/** What has to be undone at the end, the last first. */
export class CleanUp {
  readonly #actions: (() => Promise<void> | void)[] = [];

  add(action: () => Promise<void> | void): void {
    this.#actions.push(action);
  }

  /** Each once, also when it is called again. */
  async run(): Promise<void> {
    for (const action of this.#actions.splice(0).reverse()) await action();
  }
}
