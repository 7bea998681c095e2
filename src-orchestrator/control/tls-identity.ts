import { createPrivateKey, X509Certificate } from "node:crypto";
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import type { ServedNetwork } from "../../src-protocol/daemon-ipc.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { certificateKeySha256 } from "../../src-protocol/pinned-key.ts";
import { selfSigned } from "../../src-protocol/self-signed.ts";
import { storageFailure } from "../stores/store.ts";

export interface TlsIdentity {
  /** PEM; a chain may follow. */
  readonly cert: string;
  /** PEM. */
  readonly key: string;
  /** What invitations pin. */
  readonly keySha256: string;
}

export const KEY_FILE = "network-key.pem";

/** As the operator wants it: a given certificate, or one's own. Throws as those do. */
export function identityFor({ certificate }: ServedNetwork, folder: string): TlsIdentity {
  return certificate === null
    ? ownIdentity(folder)
    : givenIdentity(certificate.certFile, certificate.keyFile);
}

/** The name of a network that is new: what is made out to one network is worth nothing on another. */
export function networkOf({ keySha256 }: TlsIdentity): string {
  return `tah-${keySha256.slice(0, 32)}`;
}

/**
 * The network's own key and certificate, made at the first start and kept in `folder` in one file
 * that only its owner can read. Whoever has the file is the network: invitations pin its key.
 *
 * @throws Failure of the folder (see `storageFailure`); `tls-key-corrupt`
 */
export function ownIdentity(folder: string): TlsIdentity {
  const path = join(folder, KEY_FILE);
  try {
    const kept = readIfThere(path);
    if (kept !== null) return identityOf(kept, kept, path);
    const { cert, key } = selfSigned();
    const pem = `${key}\n${cert}`;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeWhole(path, pem);
    return identityOf(pem, pem, path);
  } catch (error) {
    throw error instanceof Failure ? error : storageFailure(error, path);
  }
}

/**
 * A certificate of somebody else's making. Its key is what invitations pin: keep the key when the
 * certificate is renewed, or invite anew.
 *
 * @throws Failure `tls-file-unreadable`, `tls-key-corrupt`
 */
export function givenIdentity(certFile: string, keyFile: string): TlsIdentity {
  const [cert, key] = [certFile, keyFile].map((path) => {
    try {
      return readFileSync(path, "utf8");
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
      throw new Failure(
        "tls-file-unreadable",
        `${path} cannot be read (${code}). Check its path and permissions.`,
      );
    }
  });
  return identityOf(cert ?? "", key ?? "", certFile);
}

function identityOf(cert: string, key: string, path: string): TlsIdentity {
  let why: string;
  try {
    if (new X509Certificate(cert).checkPrivateKey(createPrivateKey(key)))
      return { cert, key, keySha256: certificateKeySha256(cert) };
    why = "the key is not the certificate's";
  } catch (error) {
    why = error instanceof Error ? error.message : String(error);
  }
  throw new Failure(
    "tls-key-corrupt",
    `${path} does not hold a TLS certificate with its key (${why}). Put the right file back. Without it every invitation is void: only then delete it, and invite anew.`,
  );
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}

/** Whole or not at all, also when the power fails: half a key would be a lost network. */
function writeWhole(path: string, text: string): void {
  const partly = `${path}.${process.pid}`;
  const file = openSync(partly, "w", 0o600);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(partly, path);
  if (process.platform === "win32") return;
  const folder = openSync(dirname(path), "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
