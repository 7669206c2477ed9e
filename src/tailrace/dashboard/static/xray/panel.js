// The element that a page places: everything in it is drawn by drawXray.
import { drawXray } from "tailrace-xray";

export default {
  template: '<section class="card xray-card" aria-label="Tail X-ray" data-testid="xray"></section>',
  props: { xray: Object, label: String, none: String },
  mounted() {
    this.draw();
  },
  watch: {
    xray() {
      this.draw();
    },
  },
  methods: {
    draw() {
      drawXray(this.$el, this.xray, { label: this.label, none: this.none });
    },
  },
};
