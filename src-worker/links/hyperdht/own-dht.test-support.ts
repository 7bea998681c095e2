import HyperDHT from "hyperdht";
import type { NodeAddress } from "hyperdht";

/** A DHT of a few nodes on loopback, as an orchestrator runs one. */
export async function ownDht(nodes = 4): Promise<{ bootstrap: NodeAddress[]; end(): Promise<void> }> {
  const members: HyperDHT[] = [];
  const bootstrap: NodeAddress[] = [];
  for (let count = 0; count < nodes; count++) {
    const member = new HyperDHT({
      bootstrap: bootstrap.slice(0, 1),
      host: "127.0.0.1",
      port: 0,
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
