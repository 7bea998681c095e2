import "./no-eval.ts";
import "./tokens.css";
import "./base.css";
import { CSPProvider } from "@base-ui/react/csp-provider";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app.tsx";
import { getBridge } from "./bridge/bridge.ts";
import { follow } from "./bridge/follow.ts";
import { applyTheme } from "./frame/theme.ts";

applyTheme();
const bridge = getBridge();
follow(bridge);

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no #root");
createRoot(root).render(
  <StrictMode>
    {/* SECURITY: the page's policy has no 'unsafe-inline': components may not add style elements. */}
    <CSPProvider disableStyleElements>
      <App />
    </CSPProvider>
  </StrictMode>,
);
