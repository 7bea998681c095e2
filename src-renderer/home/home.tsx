import { AskedCard } from "../network/asked-card.tsx";
import layout from "../parts/layout.module.css";
import { Dial } from "./dial.tsx";
import styles from "./home.module.css";
import { Lately } from "./lately.tsx";
import { LossChart } from "./loss-chart.tsx";
import { TodayCard } from "./today-card.tsx";
import { Tower } from "./tower.tsx";
import { Why } from "./why.tsx";

/** Is it running, why, and what came of it? */
export function Home() {
  return (
    <div className={layout["stack"]}>
      <AskedCard />
      <div className={styles["columns"]}>
        <div className={styles["side"]}>
          <Dial />
          <Tower />
        </div>
        <div className={styles["wide"]}>
          <TodayCard />
          <LossChart />
          <div className={styles["pair"]}>
            <Why />
            <Lately />
          </div>
        </div>
      </div>
    </div>
  );
}
