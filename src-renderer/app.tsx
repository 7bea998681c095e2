import { phrase, say } from "../src-protocol/say.ts";
import { type ComponentType, useEffect, useRef } from "react";
import styles from "./app.module.css";
import { ConnectionNotice } from "./frame/connection-notice.tsx";
import controls from "./parts/controls.module.css";
import { useDashboard } from "./bridge/dashboard.ts";
import { Earnings } from "./earnings/earnings.tsx";
import { Home } from "./home/home.tsx";
import {
  ActivityIcon,
  DialMark,
  EarningsIcon,
  HomeIcon,
  ModelIcon,
  NetworkIcon,
  ScheduleIcon,
  SettingsIcon,
  WalletIcon,
} from "./parts/icons.tsx";
import { Activity } from "./activity/activity.tsx";
import { Glossary } from "./glossary/glossary.tsx";
import { Model } from "./model/model.tsx";
import { Wallet } from "./wallet/wallet.tsx";
import { Settings } from "./settings/settings.tsx";
import { Network } from "./network/network.tsx";
import { Schedule } from "./schedule/schedule.tsx";
import { type Screen, SCREENS, useScreen } from "./screen.ts";
import { SetUp } from "./setup/setup.tsx";
import { SignIn } from "./frame/sign-in.tsx";
import { ThemeSwitch } from "./frame/theme-switch.tsx";
import { TopLine } from "./frame/top-line.tsx";
import { FailureNotice } from "./parts/failure-notice.tsx";

interface Page {
  readonly title: string;
  readonly content: ComponentType;
}
const RAIL: Record<(typeof SCREENS)[number], Page & { readonly icon: ComponentType }> = {
  home: { title: phrase("Home"), icon: HomeIcon, content: Home },
  schedule: { title: phrase("Schedule"), icon: ScheduleIcon, content: Schedule },
  earnings: { title: phrase("Earnings"), icon: EarningsIcon, content: Earnings },
  model: { title: phrase("Model"), icon: ModelIcon, content: Model },
  network: { title: phrase("Network"), icon: NetworkIcon, content: Network },
  wallet: { title: phrase("Wallet"), icon: WalletIcon, content: Wallet },
  activity: { title: phrase("Activity"), icon: ActivityIcon, content: Activity },
  settings: { title: phrase("Settings"), icon: SettingsIcon, content: Settings },
};
const PAGES: Record<Screen, Page> = { ...RAIL, glossary: { title: phrase("Glossary"), content: Glossary } };

export function App() {
  const screen = useScreen();
  const ready = useDashboard(({ state }) => state !== null);
  const connection = useDashboard(({ connection }) => connection);
  const problem = useDashboard(({ state }) => state?.problem ?? null);
  const isNew = useDashboard(({ state }) => state?.decision.reasons[0] === "not-set-up");
  const heading = useRef<HTMLHeadingElement>(null);
  const { title, content: Content } = PAGES[screen];

  // A reader's place moves to the new screen; on the first one it stays at the top of the page.
  useEffect(() => {
    const arrive = () =>
      requestAnimationFrame(() => {
        window.scrollTo(0, 0);
        heading.current?.focus({ preventScroll: true });
      });
    window.addEventListener("hashchange", arrive);
    return () => window.removeEventListener("hashchange", arrive);
  }, []);

  if (connection === "signed-out") return <SignIn />;
  if (isNew) return <SetUp />;
  return (
    <div className={styles["frame"]}>
      <a className={styles["skip"]} href="#main" onClick={skipToMain}>
        {say("Skip to content")}
      </a>
      <nav className={styles["rail"]} aria-label={say("Screens")}>
        <p className={styles["brand"]}>
          <DialMark />
          {say("Train at Home")}
        </p>
        <ul className={styles["links"]}>
          {SCREENS.map((name) => {
            const { title, icon: Icon } = RAIL[name];
            return (
              <li key={name}>
                <a href={`#${name}`} aria-current={name === screen ? "page" : undefined}>
                  <Icon />
                  <span>{say(title)}</span>
                </a>
              </li>
            );
          })}
        </ul>
        <ThemeSwitch />
      </nav>
      <div className={styles["page"]}>
        <TopLine />
        <main
          id="main"
          className={styles["main"]}
          tabIndex={-1}
          data-old={connection !== "open" || undefined}
        >
          <h1
            ref={heading}
            tabIndex={-1}
            className={screen === "home" ? controls["hidden"] : styles["title"]}
          >
            {say(title)}
          </h1>
          <ConnectionNotice />
          {problem !== null && <FailureNotice failure={problem} />}
          {ready && <Content />}
        </main>
      </div>
    </div>
  );
}

/** A link to `#main` would be taken for a screen's name. */
function skipToMain(event: { preventDefault(): void }) {
  event.preventDefault();
  document.getElementById("main")?.focus();
}
