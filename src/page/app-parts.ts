/** The objects that the parts of the page share. */
import type { Broker } from '../broker.js';
import type { Schedule } from '../schedules/schedule.js';
import type { Audit } from './actions/audit.js';
import type { Jobs } from './actions/jobs.js';
import type { BrokerStatus } from './figures/broker-status.js';
import type { Sampler } from './figures/sampler.js';
import type { Workers } from './figures/workers.js';
import type { Access } from './http/access.js';
import type { Live } from './http/live.js';
import type { DeadReader } from './messages/dead-reader.js';
import type { MetricsSource, PageRequest } from './page-types.js';

/** The checked options of the page. */
export interface AppParts {
  readonly broker: Broker;
  readonly access: Access;
  readonly audit: Audit;
  readonly queues: readonly string[] | undefined;
  readonly schedules: readonly Schedule[];
  readonly metrics: readonly MetricsSource[];
  readonly history: 'watched' | 'always';
  readonly readOnly: boolean;
  readonly hideBodies: boolean;
  readonly path: string;
  readonly user: (request: PageRequest) => string;
}

/** The services that the page creates. */
export interface AppServices {
  readonly sampler: Sampler;
  readonly workers: Workers;
  readonly reader: DeadReader;
  readonly jobs: Jobs;
  readonly live: Live;
  readonly status: BrokerStatus;
}
