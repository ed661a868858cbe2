// What Grafana publishes of its types, made as strict for JSON as they allow: no property that it does not know, enums
// by their values, and each panel's options, fields and overrides by those of its own kind.
import type { AnnotationQuery, Dashboard, DataQuery, FieldConfig, Panel } from '@grafana/schema';
import type * as bargauge from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen.d.ts';
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen.d.ts';
import type * as statetimeline from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen.d.ts';
import type * as table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen.d.ts';
import type * as timeseries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen.d.ts';

// A type as JSON has it: an enum is one of its values.
type Json<T> =
  0 extends 1 & T ? unknown
  : T extends string ? `${T}`
  : T extends number | boolean | null | undefined ? T
  : T extends Array<infer U> ? Array<Json<U>>
  : T extends object ? { [K in keyof T]: Json<T[K]> }
  : T;

interface Kinds {
  bargauge: { options: bargauge.Options; custom: {} };
  stat: { options: stat.Options; custom: {} };
  'state-timeline': { options: statetimeline.Options; custom: statetimeline.FieldConfig };
  table: { options: table.Options; custom: table.FieldConfig };
  timeseries: { options: timeseries.Options; custom: timeseries.FieldConfig };
}

type Source = { type: 'grafana-postgresql-datasource' | 'prometheus'; uid: string };
type Sql = Pick<Json<DataQuery>, 'refId' | 'hide'> & {
  datasource: Source; editorMode: 'code'; format: 'time_series' | 'table'; rawQuery: true; rawSql: string;
};
type PromQl = Pick<Json<DataQuery>, 'refId' | 'hide'> & {
  datasource: Source; editorMode: 'code'; expr: string; legendFormat: string; instant: boolean; range: boolean;
};

type Link = { title: string; url: string; targetBlank?: boolean };
type Common = Omit<Json<FieldConfig>, 'custom' | 'links'> & { links?: Link[] };
type Values<T> = T[keyof T];
type Property<Custom> =
  | Values<{ [K in keyof Common]-?: { id: K; value: NonNullable<Common[K]> } }>
  | Values<{ [K in keyof Custom & string]-?: { id: `custom.${K}`; value: NonNullable<Json<Custom[K]>> } }>;
type Matcher = { id: 'byName' | 'byRegexp' | 'byType' | 'byFrameRefID'; options: string };

// What a panel leaves out gets the default of its kind.
type Shown = Values<{
  [K in keyof Kinds]: Omit<Json<Panel>, 'type' | 'options' | 'fieldConfig' | 'targets'> & {
    id: number;
    type: K;
    title: string;
    description: string;
    options: Partial<Json<Kinds[K]['options']>>;
    fieldConfig: {
      defaults: Common & { custom?: Partial<Json<Kinds[K]['custom']>> };
      overrides: Array<{ matcher: Matcher; properties: Array<Property<Kinds[K]['custom']>> }>;
    };
    targets: Array<Sql | PromQl>;
  };
}>;

export type Checked = Omit<Json<Dashboard>, 'panels' | 'annotations'> & {
  uid: string;
  title: string;
  annotations: { list?: Array<Omit<Json<AnnotationQuery>, 'target'> & { target: Sql }> };
  panels: Shown[];
};
