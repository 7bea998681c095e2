import { PemConverter, X509CertificateGenerator } from "@peculiar/x509";

export interface LinkCertificate {
  readonly cert: string;
  readonly key: string;
}

const P256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const DAY_MS = 86_400_000;

let made: Promise<LinkCertificate> | null = null;

/**
 * This process's self-signed TLS certificate, made once, in memory only. It says nothing about who
 * we are: the hello does (link-greeting.ts). P-256, because BoringSSL takes no ed25519 certificate
 * (electron#45358).
 */
export function linkCertificate(): Promise<LinkCertificate> {
  made ??= makeCertificate();
  return made;
}

async function makeCertificate(): Promise<LinkCertificate> {
  const keys = await crypto.subtle.generateKey(P256, true, ["sign", "verify"]);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: "01",
    name: "CN=train-at-home",
    // Clocks of homes are wrong; nobody reads these dates.
    notBefore: new Date(Date.now() - DAY_MS),
    notAfter: new Date(Date.now() + 3650 * DAY_MS),
    signingAlgorithm: P256,
    keys,
  });
  const pkcs8 = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
  return { cert: certificate.toString("pem"), key: PemConverter.encode(pkcs8, "PRIVATE KEY") };
}
