// The element that the page places: everything inside it is built and kept by Timeline.
import { Timeline } from "tailrace-timeline";

export default {
  template: '<section class="timeline" aria-label="Timeline" data-testid="timeline"></section>',
  props: { config: Object, sources: String, hint: String },
  mounted() {
    this.timeline = new Timeline(this.$el, this.config);
    this.timeline.say(this.hint);
    this.timeline.open(JSON.parse(this.sources));
  },
  beforeUnmount() {
    this.timeline.close();
  },
  watch: {
    hint(text) {
      this.timeline.say(text);
    },
    sources(sources) {
      this.timeline.open(JSON.parse(sources));
    },
  },
  methods: {
    add(point) {
      this.timeline.add(point);
    },
  },
};
