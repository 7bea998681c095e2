import { createSocket } from "node:dgram";
import { once } from "node:events";
import HyperDHT from "hyperdht";
import type { NodeAddress } from "hyperdht";

/** A DHT of a few nodes on loopback, as an orchestrator runs one. */
export async function ownDht(
  nodes = 4,
  firstPort = 0,
): Promise<{ bootstrap: NodeAddress[]; end(): Promise<void> }> {
  const members: HyperDHT[] = [];
  const bootstrap: NodeAddress[] = [];
  for (let count = 0; count < nodes; count++) {
    const member = new HyperDHT({
      bootstrap: bootstrap.slice(0, 1),
      host: "127.0.0.1",
      port: count === 0 ? firstPort : 0,
      ephemeral: false,
      firewalled: false,
    });
    members.push(member);
    await member.fullyBootstrapped();
    bootstrap.push({ host: "127.0.0.1", port: member.address()?.port ?? 0 });
  }
  return {
    bootstrap,
    end: async () => {
      await Promise.all(members.map((member) => member.destroy({ force: true })));
    },
  };
}

/** A UDP port of loopback at which nobody answers. */
export async function freePort(): Promise<number> {
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  return port;
}
