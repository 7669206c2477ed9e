// The overview: a row for each service, as the board says it; a card where there is no room.
import { middle } from "tailrace-timeline/format.js";

const DOES = { idle: "start", running: "stop", starting: "stop", stopping: "wait" };
const SAYS = { start: "Start", stop: "Stop", wait: "Stopping…" };
const CELLS = [
  ["Verdict", "verdict", "reasons"],
  ["Generator", "generator", "lag"],
  ["Failures", "failures", "kinds"],
];

export default {
  template: `
    <div class="overview">
      <div class="page-head">
        <h1>Services</h1>
        <span class="hint" role="status" data-testid="summary">{{ summary }}</span>
        <div v-if="ids.length" class="buttons">
          <button type="button" class="button" data-testid="start-all" @click="$emit('start-all')">Start all</button>
          <button type="button" class="button" data-testid="stop-all" @click="$emit('stop-all')">Stop all</button>
          <button type="button" class="button primary" data-testid="add" @click="$emit('add')">Add a service</button>
        </div>
      </div>
      <ul class="services" role="list">
        <li v-for="{ id, rate, texts, flags, path, over, bound } in shown" :key="id">
          <article class="card glance" :data-service="id" :data-flags="flags" :data-testid="'service-' + id"
              :aria-labelledby="'name-' + id">
            <div class="who">
              <h2><a :href="'/services/' + id"><span :id="'name-' + id" data-field="name">{{ texts.name }}</span></a></h2>
              <div class="url" data-field="url" :title="texts.url">{{ middle(texts.url, 64) }}</div>
            </div>
            <div class="state" data-field="state">{{ texts.state }}</div>
            <div class="steer">
              <label class="rate-inline">
                <input type="number" min="0" step="any" inputmode="decimal" :data-testid="'rate-' + id"
                  :aria-label="'Rate of ' + id + ', requests per second'" :value="typed[id] ?? tidy(rate)"
                  @input="typed[id] = $event.target.value" @change="enter(id)" @blur="delete typed[id]">
                <span class="unit" aria-hidden="true">req/s</span>
              </label>
              <button type="button" class="button toggle" :data-testid="'toggle-' + id" :data-does="does(texts)"
                :aria-disabled="does(texts) === 'wait'" :aria-label="says(texts) + ' ' + texts.name"
                @click="$emit('toggle', id, does(texts))">{{ says(texts) }}</button>
            </div>
            <div class="cell">
              <div class="cell-label">Rate</div>
              <div class="cell-value" data-field="reached">{{ texts.reached }}</div>
              <div class="cell-note"><span>asked</span> <span data-field="asked">{{ texts.asked }}</span></div>
            </div>
            <div class="cell tail">
              <div>
                <div class="cell-label"><span>p99</span> <span data-field="of">{{ texts.of }}</span></div>
                <div class="cell-value"><span data-field="p99">{{ texts.p99 }}</span> <span class="unit">ms</span></div>
                <div class="cell-note" data-field="slo" :title="texts.slo">{{ texts.slo }}</div>
              </div>
              <svg class="spark" viewBox="0 0 120 32" preserveAspectRatio="none" aria-hidden="true">
                <path class="spark-line" :d="path"/><path class="spark-over" :d="over"/>
                <path class="spark-bound" :d="bound === null ? '' : 'M0 ' + bound + 'H120'"/>
              </svg>
            </div>
            <div v-for="[label, value, note] in cells" :key="value" :class="'cell cell-' + value">
              <div class="cell-label">{{ label }}</div>
              <div class="cell-value" :data-field="value">{{ texts[value] }}</div>
              <div class="cell-note" :data-field="note" :title="texts[note]">{{ texts[note] }}</div>
            </div>
            <div class="more">
              <button type="button" class="button plain" :data-testid="'change-' + id" :disabled="texts.state !== 'idle'"
                :aria-label="'Change ' + texts.name" @click="$emit('change', id)">Change</button>
              <button type="button" class="button plain" :data-testid="'remove-' + id" :disabled="texts.state !== 'idle'"
                :aria-label="'Remove ' + texts.name" @click="ask(id)">Remove</button>
            </div>
          </article>
        </li>
      </ul>
      <dialog ref="question" id="remove-dialog" aria-labelledby="remove-dialog-title" data-testid="remove-dialog">
        <h2 id="remove-dialog-title">Remove {{ rows[asked]?.texts.name }}?</h2>
        <div class="hint">Its runs stay in the directory of runs.</div>
        <div class="dialog-buttons">
          <button type="button" class="button" autofocus @click="$refs.question.close()">Keep it</button>
          <button type="button" class="button danger" data-testid="remove-really" @click="remove">Remove</button>
        </div>
      </dialog>
      <section v-if="!ids.length" class="card empty-room" data-testid="empty">
        <h2>No services yet</h2>
        <span class="hint">A service is one HTTP endpoint that is put under load. Add one here, or list yours in
          tailrace.toml and start the control room with it:</span>
        <pre tabindex="0">{{ example }}</pre>
        <pre tabindex="0">tailrace dashboard --config tailrace.toml</pre>
        <button type="button" class="button primary" @click="$emit('add')">Add a service</button>
      </section>
    </div>`,
  // first: what `show` is told to begin with, as JSON.
  props: { example: String, first: String },
  emits: ["start-all", "stop-all", "add", "toggle", "rate", "change", "remove"],
  // typed: a rate that is being typed is left alone until it is entered or left.
  data: () => ({ ids: [], rows: {}, typed: {}, asked: null, cells: CELLS }),
  created() {
    this.show(JSON.parse(this.first));
  },
  computed: {
    shown() {
      return this.ids.map((id) => this.rows[id]).filter(Boolean);
    },
    summary() {
      const running = this.shown.filter(({ texts }) => texts.state !== "idle").length;
      return this.ids.length ? `${running} of ${this.ids.length} running` : "";
    },
  },
  methods: {
    middle,
    does: ({ state }) => DOES[state],
    says: ({ state }) => SAYS[DOES[state]],
    tidy: (rate) => Math.round(rate * 100) / 100 || rate,
    enter(id) {
      this.$emit("rate", id, this.typed[id]);
      delete this.typed[id];
    },
    ask(id) {
      this.asked = id;
      this.$refs.question.showModal();
    },
    remove() {
      this.$refs.question.close();
      this.$emit("remove", this.asked);
    },
    // ids: of all services, in order; rows: of those that changed, {id, rate, texts, flags, path, over, bound}.
    show({ ids, rows }) {
      this.ids = ids;
      for (const row of rows) this.rows[row.id] = row;
    },
  },
};
