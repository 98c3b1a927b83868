/** What the parts of the page share. */
import type { Broker } from '../broker.js';
import type { Schedule } from '../schedules/schedule.js';
import type { Access } from './access.js';
import type { Audit } from './audit.js';
import type { BrokerStatus } from './broker-status.js';
import type { DeadReader } from './dead-reader.js';
import type { Jobs } from './jobs.js';
import type { Live } from './live.js';
import type { MetricsSource, PageRequest } from './page-types.js';
import type { Sampler } from './sampler.js';
import type { Workers } from './workers.js';

/** Its options, checked. */
export interface AppParts {
  readonly broker: Broker;
  readonly access: Access;
  readonly audit: Audit;
  readonly queues: readonly string[] | undefined;
  readonly schedules: readonly Schedule[];
  readonly metrics: readonly MetricsSource[];
  readonly readOnly: boolean;
  readonly hideBodies: boolean;
  readonly path: string;
  readonly user: (request: PageRequest) => string;
}

/** What it has made of them. */
export interface AppServices {
  readonly sampler: Sampler;
  readonly workers: Workers;
  readonly reader: DeadReader;
  readonly jobs: Jobs;
  readonly live: Live;
  readonly status: BrokerStatus;
}
