import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import type { ApiScope } from "../src-protocol/api-scopes.ts";
import { API_SCOPES } from "../src-protocol/api-scopes.ts";
import { Failure, failureBody } from "../src-protocol/failure.ts";
import { ApiClient } from "./api-client.ts";
import { TOOLS } from "./mcp-tools.ts";

const INSTRUCTIONS =
  "Train at Home trains models with this computer's spare time and is paid for counter-signed work: what the computers beside it sign for. " +
  "Ask `why` before changing anything. What you start ends when you disconnect. Test units are worth nothing: never present them as money.";

/**
 * `tah mcp`: an agent's way in, over standard input and output. A thin client of the daemon with the
 * scopes that the token's owner granted; the connection stays open, for what the agent has started ends with it.
 */
export async function serveMcp(options: {
  readonly apiFile: string;
  readonly version: string;
  readonly token: string | undefined;
}): Promise<void> {
  // SECURITY: without a token it would be the owner, with all that an owner may.
  if (options.token === undefined || options.token === "")
    throw new Failure(
      "token-needed",
      "An agent needs a token of its own: make one with `tah token NAME --scopes read,control` and set TAH_TOKEN to it. What it may do, and how often, is said there.",
    );
  const link = new Link(options.apiFile);
  const scopes = await link.scopes();
  const server = new McpServer(
    { name: "train-at-home", version: options.version },
    { instructions: INSTRUCTIONS },
  );
  for (const tool of TOOLS) {
    if (!scopes.has(tool.scope)) continue;
    server.registerTool(
      tool.name,
      {
        title: tool.title,
        description: tool.about,
        inputSchema: tool.input,
        annotations: { readOnlyHint: tool.readOnly, destructiveHint: false, openWorldHint: false },
      },
      async (input: Record<string, unknown>) => {
        try {
          const { text, data } = await tool.call(await link.client(), input, new Date());
          return { content: [{ type: "text", text }], structuredContent: { ...data } };
        } catch (error) {
          const { code, message } =
            error instanceof TypeError ? { code: "bad-input", message: error.message } : failureBody(error);
          return { isError: true, content: [{ type: "text", text: `${message} (${code})` }] };
        }
      },
    );
  }
  const transport = new StdioServerTransport();
  const closed = new Promise<void>((resolve) => {
    // The agent is gone: so is what it has started.
    process.stdin.once("end", resolve);
    process.stdin.once("close", resolve);
  });
  await server.connect(transport);
  await closed;
  link.close();
}

/** The connection with the daemon, made again when the daemon was started again. */
class Link {
  readonly #apiFile: string;
  #client: ApiClient | null = null;

  constructor(apiFile: string) {
    this.#apiFile = apiFile;
  }

  async client(): Promise<ApiClient> {
    if (this.#client !== null) return this.#client;
    const client = await ApiClient.connect(this.#apiFile);
    this.#client = client;
    void client.closed.then(() => {
      if (this.#client === client) this.#client = null;
    });
    return client;
  }

  /** While no daemon runs, all are offered; it refuses what was not granted. A token that does not hold is told at once. */
  async scopes(): Promise<ReadonlySet<ApiScope>> {
    try {
      const { scopes } = await (await this.client()).call("session.whoAmI", {});
      return new Set(scopes);
    } catch (error) {
      if (error instanceof Failure && error.code !== "daemon-not-running" && error.code !== "scope-needed")
        throw error;
      return new Set(API_SCOPES);
    }
  }

  close(): void {
    this.#client?.close();
    this.#client = null;
  }
}
