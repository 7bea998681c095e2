import type { SecretStream } from "hyperdht";
import type { LinkPipe, LinkPipeEvents } from "../link-pipe.ts";

/** A road on which everything can vanish without a word, or be cut. */
export class SilentRoad {
  #silent = false;
  readonly #streams: SecretStream[] = [];

  readonly end = (pipe: LinkPipe, stream: SecretStream): LinkPipe => {
    this.#streams.push(stream);
    const isSilent = (): boolean => this.#silent;
    return new Proxy(pipe, {
      get(target, property) {
        if (property === "start") {
          return (events: LinkPipeEvents): void =>
            target.start({
              data: (bytes) => isSilent() || events.data(bytes),
              lost: (reason) => isSilent() || events.lost(reason),
            });
        }
        const value: unknown = Reflect.get(target, property, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  };

  silence(): void {
    this.#silent = true;
  }

  cut(): void {
    for (const stream of this.#streams) stream.destroy();
  }
}
