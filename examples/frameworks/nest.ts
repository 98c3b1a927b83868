import 'reflect-metadata';
import {
  type ArgumentsHost,
  Body,
  Catch,
  Controller,
  type ExceptionFilter,
  HttpCode,
  Inject,
  Injectable,
  Module,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  Post,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  type Broker,
  type Consumer,
  connect,
  createConsumer,
  createProducer,
  defineQueue,
  isQueueError,
  type Producer,
  QueueError,
} from 'millrace';
import { z } from 'zod';

const orders = defineQueue('orders', z.object({ id: z.string(), total: z.number() }));
const BROKER = Symbol('millrace broker');

@Controller('orders')
class OrdersController {
  readonly #producer: Producer<{ id: string; total: number }>;
  constructor(@Inject(BROKER) broker: Broker) {
    this.#producer = createProducer(broker, orders);
  }
  @Post()
  @HttpCode(202)
  async place(@Body() order: { id: string; total: number }) {
    return this.#producer.send(order, { timeoutMs: 2000 });
  }
}

@Catch(QueueError)
class QueueErrors implements ExceptionFilter {
  catch(error: QueueError, host: ArgumentsHost) {
    const status = isQueueError(error, 'INVALID_MESSAGE') ? 400 : 503;
    host.switchToHttp().getResponse().status(status).json({ error: error.message });
  }
}

@Injectable()
class OrdersWorker implements OnApplicationBootstrap, OnApplicationShutdown {
  readonly #broker: Broker;
  #consumer: Consumer | undefined;
  constructor(@Inject(BROKER) broker: Broker) {
    this.#broker = broker;
  }
  async onApplicationBootstrap() {
    this.#consumer = createConsumer(this.#broker, orders, ({ id }) => console.log(`shipping ${id}`));
    await this.#consumer.start();
  }
  async onApplicationShutdown() {
    await this.#consumer?.stop({ deadlineMs: 10_000 });
    await this.#broker.close();
  }
}

@Module({
  controllers: [OrdersController],
  providers: [
    OrdersWorker,
    { provide: BROKER, useFactory: () => connect(process.env.MILLRACE_URL ?? 'local:') },
  ],
})
class AppModule {}

const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] });
app.useGlobalFilters(new QueueErrors());
app.enableShutdownHooks();
await app.listen(Number(process.env.PORT ?? 3000));
console.log(`listening at ${await app.getUrl()}`);
