import { say } from "../../src-protocol/say.ts";
import { type LoadingProgress, loadingText } from "../../src-protocol/loading.ts";
import { useDashboard } from "../bridge/dashboard.ts";
import styles from "./network.module.css";

/** How far the files of this computer's slice have come; nothing while none come. */
export function LoadingBar() {
  const loading = useDashboard(({ state }) => state?.node.loading ?? null);
  return loading === null ? null : <LoadingFigure loading={loading} />;
}

export function LoadingFigure({ loading }: { loading: LoadingProgress }) {
  return (
    <div className={styles["loading"]}>
      <progress max={loading.ofBytes} value={loading.bytes} aria-label={say("Loading")} />
      <p data-testid="loading">{loadingText(loading)}</p>
    </div>
  );
}
