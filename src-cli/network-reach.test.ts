import { expect, it } from "vitest";
import { reachOf } from "./network-reach.ts";

const at = (...hosts: readonly string[]) => reachOf(hosts.map((host) => ({ host })));

it("what lies between a network's computers is read from where they reach it", () => {
  expect(at("127.0.0.1")).toBe("computer");
  expect(at("localhost", "::1")).toBe("computer");
  expect(at("192.168.1.5", "10.0.0.2", "fd00::1")).toBe("lan");
  expect(at("192.168.1.5", "127.0.0.1")).toBe("lan");
  expect(at("192.168.1.5", "203.0.113.7")).toBe("home");
  expect(at("172.32.0.1")).toBe("home");
  expect(at("kitchen.example.org")).toBe("home");
});
