import { NumberField } from "../parts/number-field.tsx";
import { say } from "../../src-protocol/say.ts";
import { type ReactNode, useId } from "react";
import type { Rules } from "../../src-protocol/policy.ts";
import controls from "../parts/controls.module.css";
import { Condition } from "./conditions.tsx";
import styles from "./conditions.module.css";
import { NamesField } from "./names-field.tsx";

const LOAD = { stopFrom: 50, startBelow: 30 };
const BATTERY = { stopBelow: 20, startFrom: 30 };
const HEAT = { stopFrom: 100, startBelow: 85 };
/** A home line's month; whoever has a cap knows it. */
const MONTH_MEGABYTES = 200_000;

/** What else makes it wait: heat, other programs, a line that is paid by the byte. */
export function AlsoWaitCard({ rules, onChange }: { rules: Rules; onChange: (rules: Rules) => void }) {
  const title = useId();
  const set = (change: Partial<Rules>) => onChange({ ...rules, ...change });
  return (
    <section className={controls["card"]} aria-labelledby={title}>
      <div className={controls["cardHead"]}>
        <h2 id={title} className={controls["cardTitle"]}>
          {say("It also waits while")}
        </h2>
        <p className={controls["hint"]}>{say("what it cannot tell here is said under Why")}</p>
      </div>
      <div className={styles["list"]}>
        <Condition
          title={say("The computer is hot")}
          about={say("It stops at the first temperature and goes on below the second.")}
          on={rules.heat !== null}
          onChange={(on) => set({ heat: on ? HEAT : null })}
        >
          {rules.heat !== null && (
            <Numbers>
              <NumberField
                label={say("stop at")}
                unit="°C"
                value={rules.heat.stopFrom}
                onChange={(stopFrom) =>
                  set({ heat: { startBelow: rules.heat?.startBelow ?? HEAT.startBelow, stopFrom } })
                }
              />
              <NumberField
                label={say("go on below")}
                unit="°C"
                value={rules.heat.startBelow}
                onChange={(startBelow) =>
                  set({ heat: { stopFrom: rules.heat?.stopFrom ?? HEAT.stopFrom, startBelow } })
                }
              />
            </Numbers>
          )}
        </Condition>
        {!rules.onlyOnPower && (
          <Condition
            title={say("The battery is low")}
            about={say("On battery it stops below the first charge and goes on from the second.")}
            on={rules.battery !== null}
            onChange={(on) => set({ battery: on ? BATTERY : null })}
          >
            {rules.battery !== null && (
              <Numbers>
                <NumberField
                  label={say("stop below")}
                  unit="%"
                  value={rules.battery.stopBelow}
                  onChange={(stopBelow) =>
                    set({ battery: { startFrom: rules.battery?.startFrom ?? BATTERY.startFrom, stopBelow } })
                  }
                />
                <NumberField
                  label={say("go on at")}
                  unit="%"
                  value={rules.battery.startFrom}
                  onChange={(startFrom) =>
                    set({ battery: { stopBelow: rules.battery?.stopBelow ?? BATTERY.stopBelow, startFrom } })
                  }
                />
              </Numbers>
            )}
          </Condition>
        )}
        <Condition
          title={say("Other programs need the processor")}
          about={say("Its own work never counts.")}
          on={rules.load !== null}
          onChange={(on) => set({ load: on ? LOAD : null })}
        >
          {rules.load !== null && (
            <Numbers>
              <NumberField
                label={say("stop at")}
                unit="%"
                value={rules.load.stopFrom}
                onChange={(stopFrom) =>
                  set({ load: { startBelow: rules.load?.startBelow ?? LOAD.startBelow, stopFrom } })
                }
              />
              <NumberField
                label={say("go on below")}
                unit="%"
                value={rules.load.startBelow}
                onChange={(startBelow) =>
                  set({ load: { stopFrom: rules.load?.stopFrom ?? LOAD.stopFrom, startBelow } })
                }
              />
            </Numbers>
          )}
        </Condition>
        <Condition
          title={say("The network is metered")}
          about={say("As the system says of a phone's hotspot.")}
          on={rules.notOnMetered}
          onChange={(notOnMetered) => set({ notOnMetered })}
        />
        <Condition
          title={say("This month's data is used up")}
          about={say("Sent and received, from the first of the month on.")}
          on={rules.monthlyMegabytes !== null}
          onChange={(on) => set({ monthlyMegabytes: on ? MONTH_MEGABYTES : null })}
        >
          {rules.monthlyMegabytes !== null && (
            <Numbers>
              <NumberField
                label={say("after")}
                unit={say("GB")}
                value={rules.monthlyMegabytes / 1000}
                onChange={(gigabytes) => set({ monthlyMegabytes: Math.round(gigabytes * 1000) })}
              />
            </Numbers>
          )}
        </Condition>
        <NamesField
          label={say("One of these programs runs")}
          about={say("Names as the system lists them, with a comma between: blender, obs")}
          names={rules.apps}
          onChange={(apps) => set({ apps })}
        />
        <NamesField
          label={say("It is on one of these networks")}
          about={say("Names of Wi-Fi networks, with a comma between: Office, Train")}
          names={rules.notOnNetworks}
          onChange={(notOnNetworks) => set({ notOnNetworks })}
        />
      </div>
    </section>
  );
}

function Numbers({ children }: { children: ReactNode }) {
  return <div className={styles["idle"]}>{children}</div>;
}
