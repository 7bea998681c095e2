import type { ReactNode } from "react";

/** Line icons of one weight. They always stand beside a word, so they are hidden from readers. */
function Icon({ children, size = 18 }: { children: ReactNode; size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 20 20"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.6"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      {children}
    </svg>
  );
}

export const HomeIcon = () => (
  <Icon>
    <circle cx="10" cy="10" r="7.2" />
    <path d="M10 10L13.4 5.6" />
  </Icon>
);
export const ScheduleIcon = () => (
  <Icon>
    <rect x="2.8" y="3.8" width="14.4" height="13.4" rx="2.4" />
    <path d="M2.8 8h14.4M7 2.4v2.8M13 2.4v2.8M6.4 12h3.2" />
  </Icon>
);
export const EarningsIcon = () => (
  <Icon>
    <ellipse cx="10" cy="5.4" rx="6.4" ry="2.6" />
    <path d="M3.6 5.4v4.6c0 1.4 2.9 2.6 6.4 2.6s6.4-1.2 6.4-2.6V5.4M3.6 10v4.6c0 1.4 2.9 2.6 6.4 2.6s6.4-1.2 6.4-2.6V10" />
  </Icon>
);
export const NetworkIcon = () => (
  <Icon>
    <circle cx="10" cy="4.600" r="2.200" />
    <circle cx="4.200" cy="14.800" r="2.200" />
    <circle cx="15.800" cy="14.800" r="2.200" />
    <path d="M8.900 6.600L5.300 12.800M11.100 6.600l3.600 6.200M6.500 14.800h7" />
  </Icon>
);
export const ModelIcon = () => (
  <Icon>
    <path d="M4 4.200h12v3H4zM4 8.600h12v3H4zM4 13h12v3H4z" />
  </Icon>
);
export const WalletIcon = () => (
  <Icon>
    <path d="M3.400 6.200h11.800a1.400 1.400 0 0 1 1.400 1.400v7a1.400 1.400 0 0 1-1.400 1.400H4.800a1.400 1.400 0 0 1-1.400-1.400zM3.400 6.200l8.800-2.800v2.800" />
    <path d="M13.400 11.100h.1" />
  </Icon>
);
export const ActivityIcon = () => (
  <Icon>
    <path d="M3 5h2M8 5h9M3 10h2M8 10h9M3 15h2M8 15h9" />
  </Icon>
);
export const SettingsIcon = () => (
  <Icon>
    <path d="M3 6h8M15 6h2M3 14h2M9 14h8" />
    <circle cx="13" cy="6" r="2" />
    <circle cx="7" cy="14" r="2" />
  </Icon>
);
export const CheckIcon = () => (
  <Icon size={16}>
    <path d="M4 10.6l4 4 8-9" />
  </Icon>
);
export const WaitIcon = () => (
  <Icon size={16}>
    <path d="M6 3.4h8M6 16.6h8M7 3.4c0 4 6 4.6 6 6.600s-6 2.6-6 6.600M13 3.400c0 4-6 4.6-6 6.6" />
  </Icon>
);
export const ChevronIcon = () => (
  <Icon size={14}>
    <path d="M5 7.500l5 5 5-5" />
  </Icon>
);
export const CopyIcon = () => (
  <Icon size={16}>
    <rect x="6.6" y="6.6" width="10" height="10" rx="2" />
    <path d="M13 3.400H5.400a2 2 0 0 0-2 2V13" />
  </Icon>
);
export const RemoveIcon = () => (
  <Icon size={16}>
    <path d="M5 5l10 10M15 5L5 15" />
  </Icon>
);
export const PlusIcon = () => (
  <Icon size={16}>
    <path d="M10 4v12M4 10h12" />
  </Icon>
);
export const AlertIcon = () => (
  <Icon>
    <path d="M10 3.200L17.6 16.600H2.400zM10 8.200v3.800M10 14.200v.1" />
  </Icon>
);

/** The product's mark, the dial in small: a night as an arc, now as a hand. */
export const DialMark = () => (
  <svg width="22" height="22" viewBox="0 0 22 22" fill="none" strokeLinecap="round" aria-hidden="true">
    <circle cx="11" cy="11" r="9" stroke="var(--line)" strokeWidth="2.6" />
    <path d="M8.67 2.31A9 9 0 0 1 19.69 8.67" stroke="var(--moon)" strokeWidth="2.6" />
    <path d="M11 11L15 5.6" stroke="var(--ember)" strokeWidth="2.2" />
    <circle cx="11" cy="11" r="1.9" fill="var(--ember)" />
  </svg>
);
