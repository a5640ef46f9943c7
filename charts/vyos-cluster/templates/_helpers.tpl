{{/* The name of the chart, as a label and in names. */}}
{{- define "vyos-cluster.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 43 | trimSuffix "-" }}
{{- end }}

{{/* The name that every object's name begins with; 43 leaves room for the longest suffix below 63. */}}
{{- define "vyos-cluster.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride }}
{{- else if contains (include "vyos-cluster.name" .) .Release.Name }}
{{- .Release.Name | trunc 43 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "vyos-cluster.name" .) | trunc 43 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "vyos-cluster.operatorName" -}}
{{ include "vyos-cluster.fullname" . }}-operator
{{- end }}

{{- define "vyos-cluster.agentName" -}}
{{ include "vyos-cluster.fullname" . }}-agent
{{- end }}

{{/* The agents' namespace. Never the release's own: agents may read every Secret in theirs. */}}
{{- define "vyos-cluster.agentsNamespace" -}}
{{- if eq .Values.agents.namespace .Release.Namespace }}
{{- fail (printf "agents.namespace must not be the release's namespace (%s): agents can read the Secrets of their namespace, and users keep pre-shared secrets in the release's; set another one, such as vyos-cluster-agents" .Release.Namespace) }}
{{- end }}
{{- .Values.agents.namespace }}
{{- end }}

{{/* Whether heartbeat may speak with the node's systemd: true or false. A boolean is short for `enabled`. */}}
{{- define "vyos-cluster.hostServices" -}}
{{- if kindIs "bool" .Values.agents.hostServices }}
{{- .Values.agents.hostServices }}
{{- else }}
{{- .Values.agents.hostServices.enabled }}
{{- end }}
{{- end }}

{{/* The units that groups may name, with commas between them. */}}
{{- define "vyos-cluster.hostUnits" -}}
{{- if ne (include "vyos-cluster.hostServices" .) "true" }}
{{- else if kindIs "bool" .Values.agents.hostServices }}
{{- "*" }}
{{- else }}
{{- join "," .Values.agents.hostServices.allow }}
{{- end }}
{{- end }}

{{- define "vyos-cluster.agentPriorityClass" -}}
{{- .Values.agents.priorityClass.name }}
{{- end }}

{{/* What selects a component's pods. Call with (list . "component"). */}}
{{- define "vyos-cluster.selectorLabels" -}}
app.kubernetes.io/name: {{ include "vyos-cluster.name" (index . 0) }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* All labels of a component's object. Call with (list . "component"). */}}
{{- define "vyos-cluster.labels" -}}
{{- $root := index . 0 -}}
{{ include "vyos-cluster.selectorLabels" . }}
app.kubernetes.io/part-of: vyos-cluster
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The labels of a component's pods: no version, so that only a change of the pods themselves restarts them. */}}
{{- define "vyos-cluster.podLabels" -}}
{{ include "vyos-cluster.selectorLabels" . }}
app.kubernetes.io/part-of: vyos-cluster
{{- with (index . 0).Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* repository:tag. Call with (list . image). */}}
{{- define "vyos-cluster.image" -}}
{{- $image := index . 1 -}}
{{ printf "%s:%s" $image.repository (default (index . 0).Chart.AppVersion $image.tag) | quote }}
{{- end }}
