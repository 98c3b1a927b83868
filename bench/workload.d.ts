/** One of those that are compared: the function `run` of `module` is called with `options`. */
export interface Subject {
  readonly subject: string;
  readonly module: string;
  readonly run: string;
  /** `'ours'` is millrace, `'floor'` the lower bound of any client; otherwise a peer. */
  readonly kind?: string;
  readonly options: SubjectOptions;
}

export interface SubjectOptions {
  /** Where the subject stores or connects to: left out of reports. */
  url?: string;
  place?: string | number;
  readonly [name: string]: unknown;
}

export interface Workload {
  readonly id: string;
  readonly title: string;
  /** The titles of parts that are measured in one turn and reported one by one. */
  readonly parts?: Readonly<Record<string, string>>;
  /** What a part is called in the figures, where that differs. */
  readonly partNames?: Readonly<Record<string, string>>;
  readonly figure: string;
  readonly moreFigures?: readonly string[];
  /** The subject that the others are compared with. */
  readonly reference: string;
  /** All subjects run at the same time, once. */
  readonly sideBySide?: boolean;
  readonly rounds?: number;
  /** Each turn is one of a new process, warm as well. Otherwise the process of a subject stays for all rounds. */
  readonly fresh?: boolean;
  readonly limitMs?: number;
  readonly subjects: readonly Subject[];
}

export interface MeasuredWorkload extends Omit<Workload, 'subjects'> {
  readonly results: Result[];
}

/** What a run writes for a report. */
export interface MeasuredRun {
  readonly takenAt: string;
  readonly quick: boolean;
  readonly workloads: readonly MeasuredWorkload[];
  readonly [circumstance: string]: unknown;
}

/** What the turns of a subject came to. */
export interface Result extends Subject {
  runs: Figures[];
  error?: string;
}

/** What a turn measures: which of these it has depends on the workload. */
export interface Figures {
  readonly count?: number;
  readonly ms?: number;
  readonly cpuUs?: number;
  readonly peakRssBytes?: number;
  readonly parts?: Readonly<Record<string, Figures>>;
  readonly [name: string]: unknown;
}
