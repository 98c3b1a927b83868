/** A job as the script of the page gets it. */
export interface JobView {
  readonly id: string;
  readonly action: string;
  readonly queue: string;
  readonly expected: number;
  readonly done: number;
  readonly stay: number;
  readonly state: 'waiting' | 'running' | 'stopping' | 'ended';
  /** Empty until it has ended. */
  readonly text: string;
  readonly ok: boolean;
}
