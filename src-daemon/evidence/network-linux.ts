import { NETWORK_UNKNOWN, type NetworkReading } from "./probe.ts";
import type { RunCommand } from "../children/run-command.ts";

/** `name:type:device` lines of `nmcli -t`; a colon in a name is written `\:`. */
export function parseConnections(output: string): string[] {
  return output.split("\n").flatMap((line) => {
    const [name = "", type = ""] = line
      .split(/(?<!\\):/)
      .map((field) => field.replaceAll(/\\(.)/g, "$1").trim());
    return name === "" || type === "loopback" || type === "bridge" ? [] : [name];
  });
}

/** NetworkManager's `Metered`: `u 1` and 3 (guessed) are yes, 2 and 4 no, 0 is not known. */
export function parseMetered(output: string): boolean | null {
  const value = /^u (\d)\s*$/.exec(output)?.[1];
  if (value === "1" || value === "3") return true;
  return value === "2" || value === "4" ? false : null;
}

export async function linuxNetwork(run: RunCommand): Promise<NetworkReading> {
  const manager = "org.freedesktop.NetworkManager";
  const [metered, connections] = await Promise.all([
    run("busctl", [
      "--system",
      "get-property",
      manager,
      "/org/freedesktop/NetworkManager",
      manager,
      "Metered",
    ]),
    run("nmcli", ["-t", "-f", "NAME,TYPE,DEVICE", "connection", "show", "--active"]),
  ]);
  return {
    metered: metered === null ? NETWORK_UNKNOWN.metered : parseMetered(metered),
    networks: connections === null ? NETWORK_UNKNOWN.networks : parseConnections(connections),
  };
}
