/** Where its owner has said that this worker stands, as the daemon told it last. */
export class DeclaredCountry {
  #of: string | null = null;
  onChange: (of: string | null) => void = () => undefined;

  /** Two letters of ISO 3166-1; null: it is not said. */
  get of(): string | null {
    return this.#of;
  }

  set(of: string | null): void {
    this.#of = of;
    this.onChange(of);
  }
}
