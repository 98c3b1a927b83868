import { diskSubjects, memorySubjects } from './local-subjects.js';
import { randomLedger } from './suite.js';

randomLedger([...memorySubjects, ...diskSubjects], {
  memory: [1, 2, 3, 4],
  'memory with a capacity of 20': [1, 2, 3, 4],
  disk: [1, 2, 3, 325_776_099],
  'disk with a capacity of 20': [1, 2, 3, 252_026_526],
});
