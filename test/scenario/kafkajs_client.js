// Run by kafkajs.py.  Prints a line a test.
'use strict'
const assert = require('node:assert')
const crypto = require('node:crypto')
const { Kafka, logLevel, CompressionTypes } = require(`${process.env.MODULES}/kafkajs`)

const kafka = new Kafka({
  clientId: 'scenario', brokers: [process.env.BROKER], logLevel: logLevel.NOTHING,
  retry: { retries: 5 },
})
const admin = kafka.admin()
const TOPIC = 'from-kafkajs'
const PARTITIONS = 3
const RECORDS = 300
const PATIENCE_MS = 30000

async function test(sentence, run) {
  try {
    await run()
    console.log(`ok ${sentence}`)
  } catch (error) {
    console.log(`not ok ${sentence}: ${String(error.message).replace(/\s+/g, ' ')}`)
  }
}

async function until(condition, what) {
  const end = Date.now() + PATIENCE_MS
  while (!condition()) {
    assert(Date.now() < end, `not in time: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const binary = (i) => crypto.createHash('sha256').update(`value ${i}`).digest()

async function topics() {
  await test('kafkajs creates a topic, lists and describes it', async () => {
    const created = await admin.createTopics({
      topics: [{ topic: TOPIC, numPartitions: PARTITIONS }], waitForLeaders: true,
    })
    assert.strictEqual(created, true)
    assert((await admin.listTopics()).includes(TOPIC))
    const { topics: [topic] } = await admin.fetchTopicMetadata({ topics: [TOPIC] })
    assert.strictEqual(topic.partitions.length, PARTITIONS)
    const cluster = await admin.describeCluster()
    assert.strictEqual(cluster.brokers.length, 1)
    assert(cluster.clusterId)
  })
  await test('kafkajs is told that a topic exists already', async () => {
    const again = await admin.createTopics({
      topics: [{ topic: TOPIC, numPartitions: PARTITIONS }],
    })
    assert.strictEqual(again, false)
  })
  await test('kafkajs adds partitions', async () => {
    await admin.createTopics({ topics: [{ topic: 'grows', numPartitions: 1 }] })
    await admin.createPartitions({ topicPartitions: [{ topic: 'grows', count: 4 }] })
    const { topics: [topic] } = await admin.fetchTopicMetadata({ topics: ['grows'] })
    assert.strictEqual(topic.partitions.length, 4)
  })
  await test('kafkajs reads the configuration of a topic', async () => {
    const { resources } = await admin.describeConfigs({
      resources: [{ type: 2, name: TOPIC }], includeSynonyms: false,
    })
    assert.strictEqual(resources[0].errorCode, 0)
  })
}

async function produce() {
  await test('an idempotent producer writes binary values, keys and headers', async () => {
    const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
    await producer.connect()
    for (let first = 0; first < RECORDS; first += 50) {
      const messages = []
      for (let i = first; i < first + 50; i++)
        messages.push({
          partition: i % PARTITIONS, key: `key ${i}`, value: binary(i),
          headers: { number: String(i), empty: '' },
        })
      const answers = await producer.send({ topic: TOPIC, messages, acks: -1 })
      for (const answer of answers)
        assert.strictEqual(answer.errorCode, 0)
    }
    await producer.disconnect()
  })
  await test('a gzip producer and one without acknowledgements write as well', async () => {
    const producer = kafka.producer()
    await producer.connect()
    const messages = [{ value: 'packed' }]
    await producer.send({ topic: 'packed', messages, compression: CompressionTypes.GZIP })
    await producer.send({ topic: 'packed', messages: [{ value: null, key: 'k' }], acks: 0 })
    await producer.disconnect()
  })
  await test('the offsets of a topic are those of its records', async () => {
    const offsets = await admin.fetchTopicOffsets(TOPIC)
    for (const { low, high } of offsets) {
      assert.strictEqual(low, '0')
      assert.strictEqual(high, String(RECORDS / PARTITIONS))
    }
    const [first] = await admin.fetchTopicOffsetsByTimestamp(TOPIC, 0)
    assert.strictEqual(first.offset, '0')
  })
}

async function consumer(groupId, got, options = {}) {
  const member = kafka.consumer({
    groupId, sessionTimeout: 10000, heartbeatInterval: 500, rebalanceTimeout: 10000,
    maxWaitTimeInMs: 200, // leaving waits for the fetch that is under way
  })
  await member.connect()
  await member.subscribe({ topic: options.topic || TOPIC, fromBeginning: true })
  await member.run({
    autoCommitInterval: 200,
    eachMessage: async ({ partition, message }) => got.push({ partition, ...message }),
  })
  return member
}

async function groups() {
  const got = []
  let member
  await test('a group reads every record once, in order, as it was written', async () => {
    member = await consumer('readers', got)
    await until(() => got.length >= RECORDS, 'all records')
    assert.strictEqual(got.length, RECORDS)
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const own = got.filter((message) => message.partition === partition)
      own.forEach((message, i) => assert.strictEqual(message.offset, String(i)))
    }
    for (const message of got) {
      const i = Number(message.headers.number)
      assert(message.value.equals(binary(i)))
      assert.strictEqual(message.key.toString(), `key ${i}`)
      assert.strictEqual(message.headers.empty.length, 0)
    }
  })
  await test('kafkajs lists and describes the group', async () => {
    const { groups: listed } = await admin.listGroups()
    assert(listed.some((group) => group.groupId === 'readers'))
    const { groups: [group] } = await admin.describeGroups(['readers'])
    assert.strictEqual(group.state, 'Stable')
    assert.strictEqual(group.members.length, 1)
  })
  await test('a second member takes a share, and gives it back when it leaves', async () => {
    const other = await consumer('readers', [])
    await until(() => true, 'nothing')
    const describe = async () => (await admin.describeGroups(['readers'])).groups[0]
    let group = await describe()
    for (const end = Date.now() + PATIENCE_MS; Date.now() < end; group = await describe())
      if (group.state === 'Stable' && group.members.length === 2)
        break
    assert.strictEqual(group.members.length, 2)
    await other.disconnect()
    for (const end = Date.now() + PATIENCE_MS; Date.now() < end; group = await describe())
      if (group.state === 'Stable' && group.members.length === 1)
        break
    assert.strictEqual(group.members.length, 1)
  })
  await test('committed offsets are told and a new life of the group goes on there', async () => {
    await member.disconnect()
    const [{ partitions }] = await admin.fetchOffsets({ groupId: 'readers', topics: [TOPIC] })
    for (const { offset } of partitions)
      assert.strictEqual(offset, String(RECORDS / PARTITIONS))
    const producer = kafka.producer()
    await producer.connect()
    await producer.send({ topic: TOPIC, messages: [{ partition: 1, value: 'one more' }] })
    await producer.disconnect()
    const later = []
    member = await consumer('readers', later)
    await until(() => later.length > 0, 'the new record')
    await member.disconnect()
    assert.deepStrictEqual(later.map((m) => m.value.toString()), ['one more'])
  })
  await test('offsets of a group can be set, and read from there', async () => {
    await admin.setOffsets({
      groupId: 'readers', topic: TOPIC, partitions: [{ partition: 2, offset: '90' }],
    })
    const later = []
    member = await consumer('readers', later)
    await until(() => later.length >= RECORDS / PARTITIONS - 90, 'ten records')
    await member.disconnect()
    assert(later.every((m) => m.partition === 2 && Number(m.offset) >= 90))
  })
  await test('a null value is a null value', async () => {
    const packed = []
    const reader = await consumer('packers', packed, { topic: 'packed' })
    await until(() => packed.length === 2, 'two records')
    await reader.disconnect()
    assert.strictEqual(packed[0].value.toString(), 'packed')
    assert.strictEqual(packed[1].value, null)
  })
  await test('an empty group can be deleted', async () => {
    const [answer] = await admin.deleteGroups(['readers'])
    assert.strictEqual(answer.errorCode || 0, 0)
    const { groups: listed } = await admin.listGroups()
    assert(!listed.some((group) => group.groupId === 'readers'))
  })
}

async function transactions() {
  const topic = 'transactional'
  await admin.createTopics({ topics: [{ topic, numPartitions: 2 }] })
  const producer = kafka.producer({ transactionalId: 'mover', maxInFlightRequests: 1 })
  await producer.connect()
  const send = (transaction, value) => transaction.send({
    topic, messages: [0, 1].map((partition) => ({ partition, value })),
  })
  const moved = async () => {
    const [{ partitions }] = await admin.fetchOffsets({ groupId: 'moved', topics: [topic] })
    return partitions.find(({ partition }) => partition === 0).offset
  }
  const offsets = (offset) => ({
    consumerGroupId: 'moved', topics: [{ topic, partitions: [{ partition: 0, offset }] }],
  })
  await test('kafkajs commits a transaction, and offsets of a group with it', async () => {
    const transaction = await producer.transaction()
    await send(transaction, 'committed')
    await transaction.sendOffsets(offsets('1'))
    assert.strictEqual(await moved(), '-1')
    await transaction.commit()
    assert.strictEqual(await moved(), '1')
  })
  await test('kafkajs aborts a transaction, and offsets of a group with it', async () => {
    const transaction = await producer.transaction()
    await send(transaction, 'aborted')
    await transaction.sendOffsets(offsets('2'))
    await transaction.abort()
    assert.strictEqual(await moved(), '1')
  })
  await test('what is not committed is not read, and what follows is', async () => {
    const transaction = await producer.transaction()
    await send(transaction, 'last')
    const got = []
    const member = await consumer('of-committed', got, { topic })
    await until(() => got.length === 2, 'what is committed')
    await transaction.commit()
    await until(() => got.length >= 4, 'what was committed since')
    await member.disconnect()
    const values = got.map(({ value }) => value.toString())
    assert.deepStrictEqual(values, ['committed', 'committed', 'last', 'last'])
  })
  await test('of two producers with one transactional id the older one is fenced', async () => {
    const older = await producer.transaction()
    await send(older, 'of the older one')
    const other = kafka.producer({
      transactionalId: 'mover', maxInFlightRequests: 1, retry: { retries: 5 },
    })
    await other.connect()
    const newer = await other.transaction()
    await assert.rejects(older.commit(), { type: /FENCED|INVALID_PRODUCER_EPOCH/ })
    await newer.abort()
    await other.disconnect()
  })
  await producer.disconnect()
}

async function main() {
  await admin.connect()
  await topics()
  await produce()
  await groups()
  await transactions()
  await test('a topic can be deleted', async () => {
    await admin.deleteTopics({ topics: [TOPIC, 'grows'] })
    const listed = await admin.listTopics()
    assert(!listed.includes(TOPIC) && !listed.includes('grows'))
  })
  await admin.disconnect()
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
