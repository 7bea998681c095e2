/** The part of hyperdht 6.34 and blind-relay 1.6 that is used here; neither package brings types. */
declare module "hyperdht" {
  import type { EventEmitter } from "node:events";

  export interface KeyPair {
    readonly publicKey: Uint8Array;
    /** Seed and public key, 64 bytes. */
    readonly secretKey: Uint8Array;
  }

  export interface NodeAddress {
    readonly host: string;
    readonly port: number;
  }

  export interface RawStream extends EventEmitter {
    readonly remoteHost: string | null;
    readonly remotePort: number;
    readonly bytesReceived: number;
    readonly bytesTransmitted: number;
    destroy(error?: Error): void;
  }

  /** @hyperswarm/secret-stream: an encrypted duplex of streamx. One `data` event a complete write. */
  export interface SecretStream extends EventEmitter {
    readonly remotePublicKey: Uint8Array | null;
    readonly rawStream: RawStream | null;
    readonly destroyed: boolean;
    readonly destroying: boolean;
    write(bytes: Uint8Array): boolean;
    pause(): void;
    resume(): void;
    end(): void;
    destroy(error?: Error): void;
  }

  export interface ConnectOptions {
    readonly keyPair?: KeyPair;
    readonly relayThrough?: Uint8Array | null;
    readonly localConnection?: boolean;
    /** Asked before a hole is punched, with what is known of both routers (see FIREWALL); false: do not. */
    readonly holepunch?: (remoteFirewall: number, localFirewall: number) => boolean;
  }

  export interface ServerOptions {
    /** True refuses: the client hears nothing. Undefined lets in. */
    readonly firewall?: (remotePublicKey: Uint8Array) => boolean | Promise<boolean>;
    readonly holepunch?: (remoteFirewall: number, localFirewall: number) => boolean;
  }

  export interface Server extends EventEmitter {
    listen(keyPair: KeyPair): Promise<Server>;
    close(): Promise<void>;
    refresh(): void;
  }

  export interface HyperDHTOptions {
    /** Never left out: the default is the public DHT. */
    readonly bootstrap: readonly NodeAddress[];
    readonly keyPair?: KeyPair;
    readonly host?: string;
    readonly port?: number;
    readonly ephemeral?: boolean;
    readonly firewalled?: boolean;
    readonly anyPort?: boolean;
  }

  export default class HyperDHT extends EventEmitter {
    static readonly FIREWALL: {
      readonly UNKNOWN: 0;
      readonly OPEN: 1;
      readonly CONSISTENT: 2;
      readonly RANDOM: 3;
    };
    constructor(options: HyperDHTOptions);
    /** True while nobody outside can be expected to get through unasked. */
    readonly firewalled: boolean;
    /** As others see it; port 0: differs from destination to destination. */
    readonly host: string | null;
    readonly port: number;
    readonly online: boolean;
    readonly stats: { readonly punches: { readonly open: number } };
    fullyBootstrapped(): Promise<void>;
    address(): NodeAddress | null;
    /** Rejects when nothing came back after some tries (about 3 s). */
    ping(node: NodeAddress): Promise<unknown>;
    connect(remotePublicKey: Uint8Array, options?: ConnectOptions): SecretStream;
    createServer(options: ServerOptions, onConnection?: (stream: SecretStream) => void): Server;
    createRawStream(options: object): RawStream;
    destroy(options?: { readonly force?: boolean }): Promise<void>;
  }
}

declare module "blind-relay" {
  import type { EventEmitter } from "node:events";
  import type { RawStream, SecretStream } from "hyperdht";

  export interface RelaySession extends EventEmitter {
    readonly stream: SecretStream;
    destroy(error?: Error): void;
  }

  export class Server extends EventEmitter {
    constructor(options: { readonly createStream: (options: object) => RawStream });
    readonly stats: { readonly pairings: { readonly pending: number; readonly active: number } };
    accept(stream: SecretStream, options: { readonly id: Uint8Array | null }): RelaySession;
    close(): Promise<void>;
  }
}
