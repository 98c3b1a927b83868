// Opens the store and closes it again, over and over. Usage: FOLDER
import { openDiskBroker } from '../../../../dist/local-queue/disk/broker.js';

while (true) await (await openDiskBroker(process.argv[2])).close();
