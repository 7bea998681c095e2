import { createPrivateKey, X509Certificate } from "node:crypto";
import { createServer, connect } from "node:tls";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { selfSigned } from "./self-signed.ts";

const NOW = Date.UTC(2030, 0, 2);

describe("a self-signed certificate", () => {
  it("is one of version 3 by RFC 5280, signed with its own key, for ten years", () => {
    const { cert, key } = selfSigned(NOW);
    const certificate = new X509Certificate(cert);
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(certificate.checkPrivateKey(createPrivateKey(key))).toBe(true);
    expect(certificate.checkIssued(certificate)).toBe(true);
    expect(certificate.subject).toBe("CN=train-at-home");
    expect(certificate.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: "prime256v1" });
    expect(certificate.validFromDate).toEqual(new Date(Date.UTC(2030, 0, 1)));
    expect(certificate.validToDate.getUTCFullYear()).toBe(2039);
  });

  it("has another key each time", () => {
    expect(selfSigned().key).not.toBe(selfSigned().key);
  });

  it("serves TLS 1.3", async () => {
    const server = createServer({ ...selfSigned(), minVersion: "TLSv1.3" }, (socket) => socket.end("hello"));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false });
    const [said] = (await once(socket, "data")) as [Buffer];
    expect([said.toString(), socket.getProtocol()]).toEqual(["hello", "TLSv1.3"]);
    socket.destroy();
    server.close();
  });
});
