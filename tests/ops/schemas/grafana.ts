// Grafana's own types, as JSON has them: a document is checked panel by panel, since a union of all panels lets more through.
import type { AnnotationQuery, Dashboard, Panel, RowPanel } from "@grafana/schema";
import type { Options as HeatmapOptions } from "@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen.js";
import type { Options as StatOptions } from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen.js";
import type {
  FieldConfig as TimeSeriesFieldConfig,
  Options as TimeSeriesOptions,
} from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen.js";

/** A type as JSON has it: an enum is its value. */
type Json<T> = unknown extends T
  ? T
  : T extends string
    ? `${T}`
    : T extends number
      ? `${T}` extends `${infer N extends number}`
        ? N
        : never
      : T extends readonly (infer U)[]
        ? Json<U>[]
        : T extends object
          ? { [K in keyof T]: Json<T[K]> }
          : T;

/** What this project asks a Prometheus data source. */
interface Query {
  datasource: { type: "prometheus"; uid: "${datasource}" };
  expr: string;
  legendFormat: string;
  refId: string;
  format?: "heatmap";
  instant?: boolean;
  range?: boolean;
}

type Defaults = NonNullable<Panel["fieldConfig"]>["defaults"];

/** A panel of one kind. Options that are left out are Grafana's defaults. */
type Of<Kind extends string, Options, Custom = never> = Json<
  Omit<Panel, "type" | "options" | "fieldConfig" | "targets"> & {
    type: Kind;
    options: Partial<Options>;
    fieldConfig?: { defaults: Omit<Defaults, "custom"> & { custom?: Partial<Custom> }; overrides: [] };
    targets: Query[];
  }
>;

export type Row = Json<Omit<RowPanel, "panels"> & { panels: [] }>;
export type TimeSeries = Of<"timeseries", TimeSeriesOptions, TimeSeriesFieldConfig>;
export type Stat = Of<"stat", StatOptions>;
export type Heatmap = Of<"heatmap", HeatmapOptions>;
/** The Prometheus plug-in reads an annotation's `expr`; Grafana's common type leaves it to the plug-in. */
type Annotations = { list: (AnnotationQuery & { expr: string })[] };
export type Page = Json<Omit<Dashboard, "panels" | "annotations"> & { annotations: Annotations }>;
