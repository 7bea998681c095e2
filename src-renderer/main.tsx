import "./no-eval.ts";
import "./tokens.css";
import "./base.css";
import { CSPProvider } from "@base-ui/react/csp-provider";
import { i18n } from "@lingui/core";
import { I18nProvider } from "@lingui/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app.tsx";
import { getBridge } from "./bridge/bridge.ts";
import { follow } from "./bridge/follow.ts";
import { applyTheme } from "./frame/theme.ts";
import { speakChosen, useLanguage } from "./language/language.ts";

/** Everything that is seen is drawn again when the language changes. */
function Spoken() {
  useLanguage();
  return <App />;
}

applyTheme();
const bridge = getBridge();
follow(bridge);

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no #root");
await speakChosen();
createRoot(root).render(
  <StrictMode>
    {/* SECURITY: the page's policy has no 'unsafe-inline': components may not add style elements. */}
    <CSPProvider disableStyleElements>
      <I18nProvider i18n={i18n}>
        <Spoken />
      </I18nProvider>
    </CSPProvider>
  </StrictMode>,
);
