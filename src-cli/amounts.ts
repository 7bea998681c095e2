export * from "../src-protocol/amounts.ts";
