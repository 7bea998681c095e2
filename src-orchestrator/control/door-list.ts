import { BlockList } from "node:net";
import type { SocketAddress } from "node:net";
import type { Door } from "../../src-protocol/door.ts";

/**
 * A door as the list that a server asks before it makes anything of a connection: who is refused costs the
 * system's own work and a look, no socket, no handshake and no line of HTTP.
 */
export class DoorList extends BlockList {
  readonly #door: Door;

  constructor(door: Door) {
    super();
    this.#door = door;
  }

  /** True: it is closed at once. */
  override check(from: string | SocketAddress): boolean {
    const remoteAddress = typeof from === "string" ? from : from.address;
    return !this.#door.admits({ remoteAddress });
  }
}
